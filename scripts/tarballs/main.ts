/**
 * `pnpm tarballs <pack|publint|attw|smoke>`: what would be published, checked as its users get it.
 *
 * pack     packs every public package into .tarballs/ and checks what lies inside
 * publint  runs `publint --strict` on each tarball
 * attw     runs "are the types wrong?" on each tarball, for ES module importers
 * smoke    installs the tarballs together outside the workspace and imports every entry point
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { hasContent, publicPackages, root } from "../workspace.ts";
import { smokeTest } from "./smoke.ts";

const tarballs = join(root, ".tarballs");
const packages = publicPackages().filter(hasContent);
const commands: Readonly<Record<string, () => boolean[]>> = {
  pack() {
    rmSync(tarballs, { recursive: true, force: true });
    mkdirSync(tarballs);
    return packages.map(
      ({ directory, manifest }) =>
        run("pnpm", ["--dir", directory, "pack", "--silent", "--pack-destination", tarballs]) &&
        contentIsRight(pathOf(manifest.name)),
    );
  },
  publint: () =>
    packages.map(({ manifest }) => run("publint", ["run", pathOf(manifest.name), "--strict"])),
  attw: () =>
    packages.map(({ manifest }) =>
      run("attw", [pathOf(manifest.name), "--profile", "esm-only", "--format", "ascii"]),
    ),
  smoke: () => [smokeTest(packages, ({ manifest }) => pathOf(manifest.name))],
};

const command = commands[process.argv[2] ?? ""];
if (command === undefined) {
  console.error(`Usage: pnpm tarballs <${Object.keys(commands).join("|")}>`);
  process.exit(2);
}
if (command().includes(false)) process.exitCode = 1;

/** The tarball of a package, as pnpm names it: `@queztl/memory` → `queztl-memory-0.1.0.tgz`. */
function pathOf(name: string): string {
  const stem = name.replace("@", "").replace("/", "-");
  const found = globSync(`${stem}-[0-9]*.tgz`, { cwd: tarballs })[0];
  if (found === undefined) throw new Error(`no tarball of ${name}: run \`pnpm tarballs pack\``);
  return join(tarballs, found);
}

/** A licence, a README and built files inside; no tests, and no version only this workspace knows. */
function contentIsRight(tarball: string): boolean {
  const listed = spawnSync("tar", ["-tzf", tarball], { encoding: "utf8" }).stdout.split("\n");
  const wanted = ["package/LICENSE", "package/README.md", "package/package.json"];
  const absent = wanted.filter((path) => !listed.includes(path));
  const manifest = spawnSync("tar", ["-xzOf", tarball, "package/package.json"], {
    encoding: "utf8",
  });
  // Help for tests stays out, unless it is for other packages' tests: then `exports` names it.
  const helpers = manifest.stdout.includes('"./testing"') ? /\.test\./ : /\.test\.|\/testing\//;
  const tests = listed.filter((path) => helpers.test(path));
  const unresolved = /"(workspace|catalog|link|file):/.exec(manifest.stdout);
  // tsc leaves the output of deleted sources behind.
  const stale = listed
    .filter((path) => path.startsWith("package/dist/") && path.endsWith(".d.ts"))
    .filter((path) => {
      const source = path.replace("/dist/", "/src/").replace(/\.d\.ts$/, ".ts");
      return !listed.includes(source) && !listed.includes(`${source}x`);
    });
  for (const path of stale) console.error(`${tarball}: ${path} has no source; delete dist, build`);
  for (const path of absent) console.error(`${tarball}: ${path} is missing`);
  for (const path of tests) console.error(`${tarball}: ${path} does not belong in it`);
  if (unresolved !== null)
    console.error(`${tarball}: package.json has a ${unresolved[1]}: version`);
  const right = absent.length + tests.length + stale.length === 0 && unresolved === null;
  const size = readFileSync(tarball).length / 1024;
  if (right) console.log(`${tarball.slice(root.length + 1)}: ${size.toFixed(1)} KiB`);
  return right;
}

function run(program: string, options: string[]): boolean {
  const { status, error } = spawnSync(program, options, { cwd: root, stdio: "inherit" });
  if (error !== undefined) console.error(`${program}: ${error.message}`);
  return status === 0;
}
