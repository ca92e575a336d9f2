import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkspacePackage } from "../workspace.ts";

/**
 * Installs the tarballs with npm in an empty folder outside the workspace, as a user would, imports
 * every entry point, sees that internals stay closed and that the processor's build knew its interpreter, and asks every program for its `--help`.
 */
export function smokeTest(
  packages: readonly WorkspacePackage[],
  tarballOf: (workspacePackage: WorkspacePackage) => string,
): boolean {
  const place = mkdtempSync(join(tmpdir(), "queztl-smoke-"));
  try {
    const dependencies = Object.fromEntries(
      packages.map((each) => [each.manifest.name, `file:${tarballOf(each)}`]),
    );
    const manifest = { name: "smoke", private: true, type: "module", dependencies };
    writeFileSync(join(place, "package.json"), JSON.stringify(manifest));
    writeFileSync(join(place, "smoke.js"), program(packages));
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    if (!run(place, "npm", ["install", ...quiet]) || !run(place, process.execPath, ["smoke.js"])) {
      return false;
    }
    return packages
      .flatMap(binariesOf)
      .map((name) => run(place, join(place, "node_modules/.bin", name), ["--help"]))
      .every(Boolean);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function program(packages: readonly WorkspacePackage[]): string {
  const entries = packages.flatMap(({ manifest }) =>
    Object.entries(manifest.exports ?? {})
      .filter(([key, value]) => value !== null && !key.includes("*") && !key.endsWith(".json"))
      .map(([key]) => manifest.name + key.slice(1)),
  );
  const closed = packages.map(({ manifest }) => `${manifest.name}/dist/index.js`);
  return `
    import { createHash } from "node:crypto";
    console.log("Node.js", process.version);
    let failed = 0;
    for (const name of ${JSON.stringify(entries)}) {
      try {
        console.log(name, Object.keys(await import(name)).length, "exports");
      } catch (error) {
        failed += 1;
        console.error(name, error);
      }
    }
    for (const name of ${JSON.stringify(closed)}) {
      const code = await import(name).then(() => "imported", (error) => error.code);
      if (code === "ERR_PACKAGE_PATH_NOT_EXPORTED") continue;
      failed += 1;
      console.error(name, "should not be importable:", code);
    }
    await import("@queztl/cpu").then(({ compileInterpreterBy, createFlatProcessor }) => {
      compileInterpreterBy(({ sha256, write }) => {
        const bytes = write();
        if (createHash("sha256").update(bytes).digest("hex") !== sha256) {
          failed += 1;
          console.error("@queztl/cpu writes another interpreter than the one that its build knew");
        }
        return { module: new WebAssembly.Module(bytes) };
      });
      createFlatProcessor({ ramBytes: 65536 });
    });
    process.exitCode = failed === 0 ? 0 : 1;
  `;
}

function binariesOf({ manifest }: WorkspacePackage): string[] {
  if (typeof manifest.bin === "string") return [manifest.name.replace(/^.*\//, "")];
  return Object.keys(manifest.bin ?? {});
}

function run(cwd: string, command: string, options: string[]): boolean {
  const { status, error } = spawnSync(command, options, { cwd, stdio: "inherit" });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  if (status !== 0) console.error(`${command} ${options.join(" ")} failed`);
  return status === 0;
}
