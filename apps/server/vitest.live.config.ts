import { defineConfig, type ViteUserConfig } from "vitest/config";
import own from "./vitest.config.ts";

const { test, ...resolution } = own;

/** The contract with real VMs, on both databases, and servers that are killed under them: `pnpm test:server`, several minutes. */
const config: ViteUserConfig = defineConfig({
  ...resolution,
  test: {
    ...test,
    name: "server-live",
    include: ["test/**/*.live.ts"],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ["verbose"],
  },
});

export default config;
