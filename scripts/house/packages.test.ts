import { existsSync, globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type WorkspacePackage, hasContent, root, workspacePackages } from "../workspace.ts";

const packages = workspacePackages();
const licence = read(root, "LICENSE");
const changesets = globSync(".changeset/*.md", { cwd: root }).map((path) => read(root, path));

// A folder laid down for later is shown as skipped until it has content.
for (const each of packages) {
  describe.skipIf(!hasContent(each))(each.folder, () => {
    test("package.json → name of the folder, a version, Apache-2.0, a description, ESM", () => {
      const { name, version, license, ...rest } = each.manifest;
      expect({ name, license, rest }).toMatchObject({
        name: `@queztl/${basename(each.folder)}`,
        license: "Apache-2.0",
        rest: { type: "module", description: expect.stringMatching(/.{10}/) },
      });
      expect(version).toMatch(/^\d+\.\d+\.\d+/);
    });

    test("README → begins with the package's name", () => {
      expect(read(each.directory, "README.md")).toContain(`# ${each.manifest.name}\n`);
    });

    if (each.isPublic) describePublished(each);
  });
}

function describePublished(each: WorkspacePackage): void {
  const { manifest, directory } = each;
  const entries = Object.entries(manifest.exports ?? {}).filter(
    ([key, value]) => key !== "./package.json" && value !== null,
  );

  test("LICENSE → the repository's", () => {
    expect(read(directory, "LICENSE")).toBe(licence);
  });

  test("exports → source first, then types, then the built file; the source exists", () => {
    expect(entries.map(([key]) => key)).toContain(".");
    for (const [key, conditions] of entries) {
      expect(Object.keys(Object(conditions)), key).toEqual(["@queztl/source", "types", "default"]);
      const { "@queztl/source": source, types, default: built } = Object(conditions);
      expect(built, key).toBe(source.replace("./src/", "./dist/").replace(/\.tsx?$/, ".js"));
      expect(types, key).toBe(built.replace(/\.js$/, ".d.ts"));
      if (!source.includes("*")) expect(existsSync(join(directory, source)), source).toBe(true);
    }
  });

  test("an internal file → cannot be imported", () => {
    const { resolve } = createRequire(join(directory, "src/index.ts"));
    for (const inside of ["src/index.ts", "dist/index.js", "src/errors.ts"]) {
      expect(() => resolve(`${manifest.name}/${inside}`)).toThrow(
        expect.objectContaining({ code: "ERR_PACKAGE_PATH_NOT_EXPORTED" }),
      );
    }
  });

  test("release notes → a CHANGELOG, or a changeset that names the package", () => {
    const named = changesets.some((text) => text.includes(`"${manifest.name}":`));
    expect(named || existsSync(join(directory, "CHANGELOG.md"))).toBe(true);
  });
}

function read(...path: string[]): string {
  return readFileSync(join(...path), "utf8");
}
