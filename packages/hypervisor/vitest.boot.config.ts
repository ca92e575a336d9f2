import { mergeConfig } from "vitest/config";
import { project } from "../../vitest.project.ts";

/** The tests that boot real kernels for minutes: `pnpm test:boot`. One at a time, for each takes a processor. */
export default mergeConfig(project("hypervisor-boot"), {
  test: {
    include: ["test/**/*.boot.ts"],
    fileParallelism: false,
    testTimeout: 900_000,
    reporters: ["verbose"],
  },
});
