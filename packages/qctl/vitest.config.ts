import { defineProject, type UserWorkspaceConfig } from "vitest/config";
import { project } from "../../vitest.project.ts";

const { test, ...resolution } = project("qctl");

/** Commands are loaded by oclif, past vitest: Node.js itself must find the packages' sources. */
const config: UserWorkspaceConfig = defineProject({
  ...resolution,
  test: { ...test, execArgv: ["--conditions=@queztl/source"] },
});

export default config;
