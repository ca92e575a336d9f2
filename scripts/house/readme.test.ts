import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { readmeExample, runExample } from "../readme-example.ts";
import { hasContent, publicPackages, root } from "../workspace.ts";

const run = promisify(execFile);

for (const each of publicPackages()) {
  const { directory, folder } = each;
  describe.skipIf(!hasContent(each))(`${folder}/README.md`, () => {
    test("the first example → prints what its comments promise", { timeout: 300_000 }, async () => {
      const example = readmeExample(each);
      if (example === undefined) throw new Error("README.md has no ```ts example");
      expect(example.promised).not.toEqual([]);
      expect(await runExample(each, example)).toEqual(example.promised);
    });

    test("the Errors table → exactly the codes of src/errors.ts", () => {
      const readme = readFileSync(join(directory, "README.md"), "utf8");
      const section = /^## Errors\n(.*?)(?=^## |$(?![^]))/ms.exec(readme)?.[1] ?? "";
      const documented = [...section.matchAll(/^\| *`(QZ_[A-Z0-9_]+)`/gm)].map((row) =>
        String(row[1]),
      );
      expect(documented.sort()).toEqual(codesDefinedIn(join(directory, "src/errors.ts")));
    });

    test("error codes → defined in src/errors.ts and nowhere else", () => {
      const elsewhere = globSync("src/**/*.ts", { cwd: directory })
        .filter((path) => path !== join("src", "errors.ts") && !path.endsWith(".test.ts"))
        .filter((path) => codesDefinedIn(join(directory, path)).length > 0);
      expect(elsewhere).toEqual([]);
    });
  });
}

test("the first examples of all READMEs → type-check together", { timeout: 300_000 }, async () => {
  const written: string[] = [];
  const project = join(root, ".readme-examples.json");
  try {
    for (const each of publicPackages().filter(hasContent)) {
      // Beside package.json, so that the package finds itself by name.
      const path = join(each.directory, ".readme-example.ts");
      writeFileSync(path, readmeExample(each)?.code ?? "export {};");
      written.push(path);
    }
    const compilerOptions = { rootDir: ".", noEmit: true };
    const config = { extends: "./tsconfig.base.json", compilerOptions, files: written };
    writeFileSync(project, JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const found = await run(process.execPath, [tsc, "-p", project], { cwd: root }).then(
      () => "",
      (failure: { stdout: string }) => failure.stdout,
    );
    expect(found).toBe("");
  } finally {
    for (const path of [...written, project]) rmSync(path, { force: true });
  }
});

function codesDefinedIn(path: string): string[] {
  if (!existsSync(path)) return [];
  const keys = readFileSync(path, "utf8").matchAll(/^\s*(QZ_[A-Z0-9_]+): *\{/gm);
  return [...keys].map((key) => String(key[1])).sort();
}
