import { fileURLToPath } from "node:url";
import { defineProject } from "vitest/config";

const conditions = ["@queztl/source", "module", "node", "development|production"];

/** The vitest settings every package shares: tests beside the code, packages resolved to their sources. */
export const project = (name: string) =>
  defineProject({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: ["**/*.test.ts"],
      exclude: ["**/node_modules/**", "**/dist/**"],
      // A hang ends a test; a busy machine does not.
      testTimeout: 60_000,
      hookTimeout: 60_000,
      setupFiles: [fileURLToPath(new URL("vitest.setup.ts", import.meta.url))],
    },
  });
