import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { checkDirection } from "./check.ts";

const places: string[] = [];
afterEach(() => {
  for (const place of places.splice(0)) rmSync(place, { recursive: true });
});

/** A throw-away workspace: errors (floor 0), memory (1) and cpu (2), plus the given files. */
function workspace(files: Record<string, string>, dependencies: Record<string, object> = {}) {
  const root = mkdtempSync(join(tmpdir(), "queztl-direction-"));
  places.push(root);
  const manifests = Object.fromEntries(
    ["errors", "memory", "cpu"].map((name) => [
      `packages/${name}/package.json`,
      JSON.stringify({
        name: `@queztl/${name}`,
        exports: { ".": "./src/index.ts", "./fast/*": "./src/fast/*.ts", "./fast/secret": null },
        ...dependencies[name],
      }),
    ]),
  );
  for (const [path, text] of Object.entries({ ...manifests, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const usesErrors = { memory: { dependencies: { "@queztl/errors": "*" } } };
const usesCpu = { memory: { dependencies: { "@queztl/cpu": "*" } } };

test.for<[string, string]>([
  ["a value import", `import { x } from "@queztl/cpu";`],
  ["a type import", `import type { X } from "@queztl/cpu";`],
  ["a re-export", `export * from "@queztl/cpu";`],
  ["a dynamic import", `await import("@queztl/cpu");`],
  ["an import type", `type X = import("@queztl/cpu").X;`],
])("%s of a higher floor → upward, with file and line", ([, code]) => {
  const root = workspace({ "packages/memory/src/index.ts": `\n${code}` }, usesCpu);
  const findings = checkDirection(root).filter(({ rule }) => rule === "upward");
  expect(findings.map(({ where }) => where)).toEqual([
    "packages/memory/package.json",
    "packages/memory/src/index.ts:2",
  ]);
  expect(findings[1]?.what).toContain("@queztl/memory (floor 1) uses @queztl/cpu (floor 2)");
});

test("a declared import of a lower floor → nothing", () => {
  const root = workspace(
    { "packages/memory/src/index.ts": `import { x } from "@queztl/errors";` },
    usesErrors,
  );
  expect(checkDirection(root)).toEqual([]);
});

test("files that import one another, even for types only → one circle, the shortest way round", () => {
  const root = workspace({
    "packages/memory/src/a.ts": `import { b } from "./b.ts"; import "./a-leaf.ts";`,
    "packages/memory/src/b.ts": `import type { C } from "./deep/c.ts";`,
    "packages/memory/src/deep/c.ts": `import { a } from "../a.ts"; export { b } from "../b.ts";`,
    "packages/memory/src/a-leaf.ts": ``,
  });
  const circles = checkDirection(root);
  expect(circles).toHaveLength(1);
  expect(circles[0]).toMatchObject({
    rule: "circular",
    what: expect.stringContaining(
      "packages/memory/src/a.ts → packages/memory/src/b.ts → packages/memory/src/deep/c.ts",
    ),
  });
});

test("a worker started from its starter's own worker file → circular", () => {
  const root = workspace({
    "packages/memory/src/a.ts": `new Worker(new URL("./b.ts", import.meta.url));`,
    "packages/memory/src/b.ts": `import { a } from "./a.ts";`,
  });
  expect(checkDirection(root).map(({ rule }) => rule)).toEqual(["circular"]);
});

test("node: in an isomorphic package → only src/node.ts, src/node/ and tests may", () => {
  const code = `import { readFileSync } from "node:fs";`;
  const root = workspace({
    "packages/memory/src/index.ts": code,
    "packages/memory/src/node.ts": code,
    "packages/memory/src/node/file.ts": code,
    "packages/memory/src/index.test.ts": code,
    "packages/memory/bench/copy.ts": code,
    "packages/memory/src/bare.ts": `import fs from "fs";`,
  });
  expect(checkDirection(root).map(({ rule, where }) => `${rule} ${where}`)).toEqual([
    "node-in-isomorphic packages/memory/src/bare.ts:1",
    "node-in-isomorphic packages/memory/src/index.ts:1",
  ]);
});

test("an import that package.json does not declare for that use → undeclared", () => {
  const root = workspace(
    {
      "packages/memory/src/index.ts": `import { x } from "@queztl/errors"; import "left-pad";`,
      "packages/memory/src/index.test.ts": `import { x } from "@queztl/errors"; import "left-pad";`,
    },
    { memory: { devDependencies: { "left-pad": "1" } } },
  );
  expect(checkDirection(root).map(({ where, what }) => `${where} ${what}`)).toEqual([
    "packages/memory/src/index.test.ts:1 @queztl/errors is not in the devDependencies of packages/memory/package.json",
    "packages/memory/src/index.ts:1 @queztl/errors is not in the dependencies of packages/memory/package.json",
    "packages/memory/src/index.ts:1 left-pad is not in the dependencies of packages/memory/package.json",
  ]);
});

test("a way past another package's exports → internals", () => {
  const root = workspace(
    {
      "packages/memory/src/index.ts": [
        `import "@queztl/errors/src/index.ts";`,
        `import "../../errors/src/index.ts";`,
        `import "@queztl/errors/fast/path";`,
        `import "@queztl/errors/fast/secret";`,
      ].join("\n"),
    },
    usesErrors,
  );
  expect(checkDirection(root).map(({ rule, where }) => `${rule} ${where}`)).toEqual([
    "internals packages/memory/src/index.ts:1",
    "internals packages/memory/src/index.ts:2",
    "internals packages/memory/src/index.ts:4",
  ]);
});

test("a package without a floor → no-floor; an import of a file that is not there → missing", () => {
  const root = workspace({
    "packages/attic/package.json": `{"name":"@queztl/attic"}`,
    "packages/memory/src/index.ts": `import "./gone.ts";`,
  });
  expect(checkDirection(root).map(({ rule, where }) => `${rule} ${where}`)).toEqual([
    "no-floor packages/attic",
    "missing packages/memory/src/index.ts:1",
  ]);
});
