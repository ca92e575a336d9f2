import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { INIT_LINE } from "@queztl/images";
import { buildImage } from "@queztl/images/node";
import { defineBench } from "./src/index.ts";
import type { Case } from "./src/index.ts";

const LIMIT_MS = 300_000;
const MEMORY_MIB = 512;

/** The command's file, beside the package's entry: its source here, its build in a release. */
const ENTRY = import.meta.resolve("@queztl/hypervisor");
const QUEZTL_VM = fileURLToPath(new URL(`./node/main${ENTRY.slice(-3)}`, ENTRY));

/** Seconds from the start of a program to the first line of the guest's init on its standard output. */
function secondsToInit(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    let text = "";
    let errors = "";
    let seconds: number | undefined;
    child.stderr.on("data", (data: Buffer) => (errors += String(data)));
    child.stdout.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (seconds !== undefined || !text.includes(INIT_LINE)) return;
      seconds = (performance.now() - started) / 1000;
      child.kill("SIGKILL");
    });
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(timer);
      if (seconds !== undefined) resolve(seconds);
      else reject(new Error(`${program} ended before init: ${errors.slice(-500)}`));
    });
  });
}

/** Both boot the same two files, with the same command line, memory and one processor. */
function boot(name: string, append: string): Case {
  const common = async (): Promise<readonly string[]> => {
    const { kernel, initramfs } = await buildImage({ flavour: "cloud" });
    const files = ["--kernel", kernel.path, "--initrd", initramfs.path];
    return [...files, "--append", `console=ttyS0 ${append}`.trim()];
  };
  return {
    name,
    unit: "s",
    better: "lower",
    ours: {
      name: "queztl-vm",
      async measure() {
        const run = ["run", ...(await common()), "--memory", String(MEMORY_MIB)];
        return secondsToInit(process.execPath, ["--conditions=@queztl/source", QUEZTL_VM, ...run]);
      },
    },
    peers: [
      {
        name: "qemu tcg",
        needs: { debian: ["qemu-system-x86"] },
        async measure() {
          const machine = `-accel tcg -cpu max -m ${MEMORY_MIB} -nographic -no-reboot -nic none`;
          const files = (await common()).map((word) => word.replace(/^--/, "-"));
          return secondsToInit("qemu-system-x86_64", [...machine.split(" "), ...files]);
        },
      },
    ],
  };
}

export default defineBench({
  summary: "a stock Debian 12 cloud kernel from the start of the process to the first line of init",
  rounds: 5,
  cases: [
    boot("as Debian ships it", ""),
    boot("without the kernel's crypto self-tests", "cryptomgr.notests=1"),
  ],
});
