import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { isExposed, readContexts, writeContexts } from "./contexts.ts";
import { resolveTarget } from "./target.ts";

const folder = mkdtempSync(join(tmpdir(), "qctl-contexts-"));
const path = join(folder, "contexts.json");
afterAll(() => rmSync(folder, { recursive: true }));

const contexts = {
  current: "a",
  contexts: {
    a: { server: "http://a:1", token: "ta" },
    b: { server: "http://b:1/", token: "tb" },
  },
};

test("contexts → written whole, for their owner only, also over a file that others could read", () => {
  writeFileSync(path, "{}");
  chmodSync(path, 0o644);
  expect(isExposed(path)).toBe(true);
  writeContexts(path, contexts);
  expect(readContexts(path)).toEqual(contexts);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(isExposed(path)).toBe(false);
  expect(readdirSync(folder)).toEqual(["contexts.json"]);
});

test.each([
  "",
  "[]",
  "{",
  '{"contexts":{"a":{}}}',
  '{"contexts":{"a":{"server":"x","token":1}}}',
  '{"current":1}',
])("a file with %j → QZ_QCTL_CONTEXTS_INVALID", (text) => {
  writeFileSync(path, text);
  expect(() => readContexts(path)).toThrow(
    expect.objectContaining({ code: "QZ_QCTL_CONTEXTS_INVALID" }),
  );
});

test("no file → no contexts", () => {
  expect(readContexts(join(folder, "none"))).toEqual({ contexts: {} });
});

const target = (flags: object, environment: NodeJS.ProcessEnv = {}) =>
  resolveTarget(flags, environment, contexts);

test("the strongest comes first: flags, environment, the current context", () => {
  expect(target({})).toEqual({ server: "http://a:1", token: "ta", context: "a" });
  expect(target({}, { QUEZTL_CONTEXT: "b" })).toMatchObject({ context: "b", token: "tb" });
  expect(target({ context: "a" }, { QUEZTL_CONTEXT: "b" })).toMatchObject({ context: "a" });
  expect(target({ token: "x" }, { QUEZTL_TOKEN: "y" })).toMatchObject({ token: "x" });
  expect(target({}, { QUEZTL_SERVER: "http://c", QUEZTL_TOKEN: "y" })).toEqual({
    server: "http://c",
    token: "y",
  });
});

test("a server by its address → the token of its own context, never another one's", () => {
  expect(target({ server: "http://b:1" })).toMatchObject({ token: "tb", context: "b" });
  expect(() => target({ server: "http://c" })).toThrow(
    expect.objectContaining({ code: "QZ_QCTL_TOKEN_UNKNOWN" }),
  );
  expect(() => target({ server: "http://c", context: "a" })).toThrow(
    expect.objectContaining({ code: "QZ_QCTL_TOKEN_UNKNOWN" }),
  );
});

test("a context that there is not, also one named like a member of Object → refused", () => {
  for (const context of ["none", "toString", "__proto__"]) {
    expect(() => target({ context })).toThrow(
      expect.objectContaining({ code: "QZ_QCTL_CONTEXT_UNKNOWN" }),
    );
  }
  expect(() => resolveTarget({}, {}, { contexts: {} })).toThrow(
    expect.objectContaining({ code: "QZ_QCTL_CONTEXT_MISSING" }),
  );
});
