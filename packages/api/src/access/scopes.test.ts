import { expect, test } from "vitest";
import { operationList } from "../operations/operations.ts";
import { allows, SCOPES, scopesBeyond } from "./scopes.ts";

test("admin → everything; no scope → nothing", () => {
  for (const wanted of SCOPES) {
    expect(allows(["admin"], wanted)).toBe(true);
    expect(allows([], wanted)).toBe(false);
  }
});

test("a scope to change or to enter → also to read the same resource, nothing else", () => {
  expect(SCOPES.filter((wanted) => allows(["vm:exec"], wanted))).toEqual(["vm:read", "vm:exec"]);
  expect(SCOPES.filter((wanted) => allows(["task:write"], wanted))).toEqual([
    "task:read",
    "task:write",
  ]);
  expect(SCOPES.filter((wanted) => allows(["stats:read"], wanted))).toEqual(["stats:read"]);
});

test("scopes to give away → only those that one has oneself", () => {
  expect(scopesBeyond(["vm:write", "token:write"], ["vm:read", "vm:write"])).toEqual([]);
  expect(scopesBeyond(["vm:write"], ["vm:exec", "admin", "vm:read"])).toEqual(["vm:exec", "admin"]);
});

test("every scope but admin → is what some operation needs", () => {
  const needed = new Set(operationList.map(({ operation }) => operation.scope));
  expect(SCOPES.filter((scope) => scope !== "admin" && !needed.has(scope))).toEqual([]);
});
