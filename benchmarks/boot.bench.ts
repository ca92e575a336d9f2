import { spawn } from "node:child_process";
import { INIT_LINE } from "@queztl/images";
import { buildImage } from "@queztl/images/node";
import { builtQueztlVm, qemuTcg } from "./src/emulators.ts";
import type { Emulator, MachineFiles } from "./src/emulators.ts";
import { defineBench } from "./src/index.ts";
import type { Case, Subject } from "./src/index.ts";

const LIMIT_MS = 300_000;
const MEMORY_MIB = 512;

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
  const files = async (): Promise<MachineFiles> => {
    const { kernel, initramfs } = await buildImage({ flavour: "cloud" });
    const words = `console=ttyS0 ${append}`.trim();
    return {
      kernel: kernel.path,
      initrd: initramfs.path,
      append: words,
      memoryMib: MEMORY_MIB,
    };
  };
  const subject = (label: string, { program, needs, args }: Emulator): Subject => ({
    name: label,
    needs: needs ?? {},
    measure: async () => secondsToInit(program, args(await files())),
  });
  return {
    name,
    unit: "s",
    better: "lower",
    ours: { ...subject("queztl-vm", builtQueztlVm), setup: builtQueztlVm.setup },
    peers: [subject("qemu tcg", qemuTcg)],
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
