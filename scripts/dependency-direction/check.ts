import { existsSync, globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, posix } from "node:path";
import { type WorkspacePackage, workspacePackages } from "../workspace.ts";
import { circlesOf } from "./circles.ts";
import { storeyOf } from "./floors.ts";
import { type Import, importsOf } from "./imports.ts";

/** The rules, by the name that a finding carries. */
export type Rule =
  | "no-floor" // a package without a floor
  | "upward" // imports a package of the same or a higher floor
  | "circular" // files that import one another in a circle
  | "node-in-isomorphic" // `node:` outside src/node.ts and src/node/
  | "undeclared" // a package that package.json does not declare for this use
  | "internals" // past another package's `exports`
  | "missing"; // a relative import of a file that is not there

export interface Finding {
  readonly rule: Rule;
  /** `packages/memory/src/ram.ts:12`, or the folder for a whole package. */
  readonly where: string;
  readonly what: string;
}

/** Checks every TypeScript file of the workspace at `root` against the house's import rules. */
export function checkDirection(root: string): Finding[] {
  const packages = workspacePackages(root);
  const byName = new Map(packages.map((each) => [each.manifest.name, each]));
  const findings: Finding[] = [];
  const files = new Map<string, Set<string>>();

  for (const owner of packages) {
    const storey = storeyOf(owner.folder);
    if (storey === undefined) {
      const what = "has no floor; add it to scripts/dependency-direction/floors.ts";
      findings.push({ rule: "no-floor", where: owner.folder, what });
      continue;
    }
    findings.push(...checkManifest(owner, byName));
    for (const file of sourcesOf(root, owner)) {
      const targets = new Set<string>();
      files.set(file, targets);
      for (const found of importsOf(file, readFileSync(join(root, file), "utf8"))) {
        const report = (rule: Rule, what: string) =>
          findings.push({ rule, where: `${file}:${found.line}`, what });
        if (found.specifier.startsWith(".")) {
          const target = checkRelative({ root, owner, packages, file, found, report });
          if (target !== undefined) targets.add(target);
        } else if (isBuiltin(found.specifier)) {
          if (storey.isomorphic && isShipped(owner, file) && !isNodeFile(owner, file)) {
            report("node-in-isomorphic", `imports ${found.specifier}; move it to src/node/`);
          }
        } else checkBare({ owner, byName, file, found, report });
      }
    }
  }
  for (const circle of circlesOf(files)) {
    const way = [...circle, circle[0]].join(" → ");
    findings.push({ rule: "circular", where: String(circle[0]), what: `import circle: ${way}` });
  }
  return findings;
}

interface Place {
  readonly owner: WorkspacePackage;
  readonly file: string;
  readonly found: Import;
  readonly report: (rule: Rule, what: string) => void;
}

/** The imported file where it is one of the same package. */
function checkRelative(
  place: Place & { root: string; packages: readonly WorkspacePackage[] },
): string | undefined {
  const { root, owner, packages, file, found, report } = place;
  const target = posix.join(posix.dirname(file), found.specifier);
  const other = packages.find((each) => target.startsWith(`${each.folder}/`));
  if (other !== undefined && other !== owner) {
    report("internals", `reaches into ${other.folder}; import ${other.manifest.name} instead`);
    return undefined;
  }
  if (!existsSync(join(root, target))) {
    // A worker or fixture path may be made at build time; only imports must resolve now.
    if (!found.specifier.endsWith(".js")) report("missing", `${found.specifier} does not exist`);
    return undefined;
  }
  return target;
}

function checkBare(place: Place & { byName: ReadonlyMap<string, WorkspacePackage> }): void {
  const { owner, byName, file, found, report } = place;
  const { name, subpath } = splitSpecifier(found.specifier);
  const { manifest } = owner;
  const target = byName.get(name);
  const climb = target === undefined ? undefined : climbOf(owner, target);
  if (climb !== undefined) report("upward", climb);
  if (target !== undefined && !isExported(target, subpath)) {
    report("internals", `${name} does not export ${subpath}`);
  }
  if (target === owner) return;
  const shipped = { ...manifest.dependencies, ...manifest.peerDependencies };
  const needed = isShipped(owner, file)
    ? { ...shipped, ...manifest.optionalDependencies }
    : { ...shipped, ...manifest.optionalDependencies, ...manifest.devDependencies };
  const typings = found.typeOnly ? `@types/${name.replace("@", "").replace("/", "__")}` : name;
  if (!(name in needed) && !(typings in needed)) {
    const where = isShipped(owner, file) ? "dependencies" : "devDependencies";
    report("undeclared", `${name} is not in the ${where} of ${owner.folder}/package.json`);
  }
}

/** A dependency that climbs is wrong even before a file imports it. */
function checkManifest(
  owner: WorkspacePackage,
  byName: ReadonlyMap<string, WorkspacePackage>,
): Finding[] {
  const { dependencies, devDependencies, peerDependencies, optionalDependencies } = owner.manifest;
  const declared = {
    ...dependencies,
    ...devDependencies,
    ...peerDependencies,
    ...optionalDependencies,
  };
  return Object.keys(declared).flatMap((name): Finding[] => {
    const target = byName.get(name);
    const climb = target === undefined ? undefined : climbOf(owner, target);
    const where = `${owner.folder}/package.json`;
    return climb === undefined ? [] : [{ rule: "upward", where, what: climb }];
  });
}

/** Says what is wrong where `owner` may not use `target`. */
function climbOf(owner: WorkspacePackage, target: WorkspacePackage): string | undefined {
  const [from, to] = [storeyOf(owner.folder), storeyOf(target.folder)];
  if (owner === target || from === undefined || to === undefined || to.floor < from.floor) {
    return undefined;
  }
  return (
    `${owner.manifest.name} (floor ${from.floor}) uses ${target.manifest.name} ` +
    `(floor ${to.floor}); a package imports only lower floors`
  );
}

function sourcesOf(root: string, { folder }: WorkspacePackage): string[] {
  return globSync(`${folder}/**/*.{ts,tsx}`, { cwd: root, exclude: isGenerated })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !path.endsWith(".d.ts"))
    .sort();
}

function isGenerated(path: string): boolean {
  return /(^|\/)(node_modules|dist|lib|\.turbo)(\/|$)/.test(path);
}

/** Whether a file goes into the published package: source that is neither a test nor its scenery. */
function isShipped({ folder }: WorkspacePackage, file: string): boolean {
  return (
    file.startsWith(`${folder}/src/`) &&
    !/\.(test|bench)\.tsx?$/.test(file) &&
    !file.includes("/testing/")
  );
}

function isNodeFile({ folder }: WorkspacePackage, file: string): boolean {
  const inside = file.slice(`${folder}/src/`.length);
  return (
    inside.endsWith(".ts") &&
    (/(^|\/)node\.ts$/.test(inside) || dirname(inside).split("/").includes("node"))
  );
}

function splitSpecifier(specifier: string): { name: string; subpath: string } {
  const parts = specifier.split("/");
  const length = specifier.startsWith("@") ? 2 : 1;
  const rest = parts.slice(length);
  return { name: parts.slice(0, length).join("/"), subpath: [".", ...rest].join("/") };
}

/** As Node resolves `exports`: an exact key first, then the pattern with the longest prefix. */
function isExported({ manifest }: WorkspacePackage, subpath: string): boolean {
  const keys = Object.keys(manifest.exports ?? {}).filter((key) => {
    const [head = "", tail] = key.split("*");
    return tail === undefined
      ? key === subpath
      : subpath.startsWith(head) && subpath.endsWith(tail) && subpath.length >= key.length;
  });
  const rank = (key: string) => (key.includes("*") ? key.indexOf("*") : Number.POSITIVE_INFINITY);
  const best = keys.sort((a, b) => rank(b) - rank(a))[0];
  return best !== undefined && manifest.exports?.[best] !== null;
}
