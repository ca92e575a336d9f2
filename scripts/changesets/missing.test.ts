import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { comparisonBase, git, packagesWithoutChangeset } from "./missing.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "queztl-changesets-"));
  git(root, "init", "--quiet", "--initial-branch=main");
  write("packages/memory/package.json", `{"name":"@queztl/memory","version":"0.0.0"}`);
  write("packages/memory/src/index.ts", "export const one = 1;\n");
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function commit(): void {
  git(root, "add", "--all");
  const author = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
  git(root, ...author, "commit", "--quiet", "--no-verify", "--message=x");
}

test("a package never released and not announced → missing, without any commit", () => {
  expect(packagesWithoutChangeset(root)).toEqual(["@queztl/memory"]);
});

test("a changeset that names it, in either quotes → nothing missing", () => {
  write(".changeset/a.md", `---\n"@queztl/other": patch\n'@queztl/memory': minor\n---\n\nText.\n`);
  expect(packagesWithoutChangeset(root)).toEqual([]);
});

test("a changeset that only mentions the name in its text → still missing", () => {
  write(".changeset/a.md", `---\n"@queztl/other": patch\n---\n\n"@queztl/memory": see there.\n`);
  expect(packagesWithoutChangeset(root)).toEqual(["@queztl/memory"]);
});

test("a private package and one without content → nothing missing", () => {
  write("packages/memory/package.json", `{"name":"@queztl/memory","private":true}`);
  write("packages/cpu/package.json", `{"name":"@queztl/cpu"}`);
  write("packages/cpu/src/index.ts", "export {};\n");
  expect(packagesWithoutChangeset(root)).toEqual([]);
});

test("released, then only tests changed → nothing; then source changed → missing", () => {
  write("packages/memory/CHANGELOG.md", "# 0.1.0\n");
  commit();
  expect(packagesWithoutChangeset(root)).toEqual([]);
  write("packages/memory/src/index.test.ts", "export {};\n");
  write("packages/memory/src/testing/guest.ts", "export {};\n");
  commit();
  expect(packagesWithoutChangeset(root)).toEqual([]);
  write("packages/memory/src/index.ts", "export const one = 2;\n");
  expect(packagesWithoutChangeset(root)).toEqual(["@queztl/memory"]);
  commit();
  expect(packagesWithoutChangeset(root)).toEqual(["@queztl/memory"]);
});

test("the base → the base branch, until a release was made after it, nothing while one is made", () => {
  commit();
  git(root, "switch", "--quiet", "--create", "topic");
  write("packages/memory/src/index.ts", "export const one = 2;\n");
  commit();
  expect(comparisonBase(root)).toBe("main");
  write("packages/memory/CHANGELOG.md", "# 0.1.0\n");
  expect(comparisonBase(root)).toBeUndefined();
  commit();
  const release = git(root, "rev-parse", "HEAD").trim();
  write("packages/memory/src/index.ts", "export const one = 3;\n");
  commit();
  expect(comparisonBase(root)).toBe(release);
});

test("a repository without the base branch → no base", () => {
  git(root, "switch", "--quiet", "--create", "other");
  commit();
  expect(comparisonBase(root)).toBeUndefined();
});
