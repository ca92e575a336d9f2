import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readmeExample, runExample } from "../readme-example.ts";
import { hasContent, publicPackages } from "../workspace.ts";

for (const each of publicPackages()) {
  const { directory, folder } = each;
  describe.skipIf(!hasContent(each))(`${folder}/README.md`, () => {
    test("the first example → prints what its comments promise", { timeout: 60_000 }, async () => {
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

function codesDefinedIn(path: string): string[] {
  if (!existsSync(path)) return [];
  const keys = readFileSync(path, "utf8").matchAll(/^\s*(QZ_[A-Z0-9_]+): *\{/gm);
  return [...keys].map((key) => String(key[1])).sort();
}
