import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { queztlHome } from "./home.ts";

test("QUEZTL_HOME → that folder, absolute; otherwise .queztl in the user's home", () => {
  expect(queztlHome({ QUEZTL_HOME: "/srv/queztl" })).toBe("/srv/queztl");
  expect(queztlHome({ QUEZTL_HOME: "here" })).toBe(join(process.cwd(), "here"));
  expect(queztlHome({ QUEZTL_HOME: "" })).toBe(join(homedir(), ".queztl"));
  expect(queztlHome({})).toBe(join(homedir(), ".queztl"));
});
