import { defineConfig } from "vitest/config";
import { project } from "../../vitest.project.ts";

const { test, ...resolution } = project("hypervisor-boot");

/** The tests that boot real kernels for minutes: `pnpm test:boot`. One at a time, for each takes a processor. */
export default defineConfig({
  ...resolution,
  test: {
    ...test,
    include: ["test/**/*.boot.ts"],
    fileParallelism: false,
    testTimeout: 900_000,
    reporters: ["verbose"],
  },
});
