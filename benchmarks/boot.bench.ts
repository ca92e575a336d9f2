import { bootCase } from "./src/boot-time.ts";
import { qemuTcg } from "./src/emulators.ts";
import { defineBench } from "./src/index.ts";

const peers = [["qemu tcg", qemuTcg]] as const;

export default defineBench({
  summary: "a stock Debian 12 cloud kernel from the start of the process to the first line of init",
  rounds: 5,
  cases: [
    bootCase("as Debian ships it", "cloud", "", peers),
    bootCase("without the kernel's crypto self-tests", "cloud", "cryptomgr.notests=1", peers),
  ],
});
