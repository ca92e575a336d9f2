import { defineConfig, type ViteUserConfig } from "vitest/config";
import own from "./vitest.config.ts";

const { test, ...resolution } = own;

/** Every command against a real server with real VMs: `pnpm test:qctl`, several minutes. */
const config: ViteUserConfig = defineConfig({
  ...resolution,
  test: {
    ...test,
    name: "qctl-live",
    include: ["test/**/*.live.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // A server with its VMs takes the whole computer.
    fileParallelism: false,
    reporters: ["verbose"],
  },
});

export default config;
