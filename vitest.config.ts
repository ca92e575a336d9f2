import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: ["packages/*", "apps/*", "examples/*", "benchmarks", "scripts"],
    reporters: ["default", "./scripts/tally-reporter.ts"],
    coverage: { provider: "v8" },
  },
});
