import { spawn } from "node:child_process";
import { INIT_LINE } from "@queztl/images";
import { buildImage } from "@queztl/images/node";
import type { Flavour } from "@queztl/images";
import type { Case, Subject } from "./bench.ts";
import { builtQueztlVm } from "./emulators.ts";
import type { Emulator, MachineFiles } from "./emulators.ts";

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

/** A boot of a flavour's image, of which each emulator has the same kernel, command line, memory and one processor. */
export function bootCase(
  name: string,
  flavour: Flavour,
  append: string,
  peers: readonly (readonly [name: string, emulator: Emulator])[],
): Case {
  const files = async (): Promise<MachineFiles> => {
    const { kernel, bzImage, initramfs } = await buildImage({ flavour });
    return {
      kernel: kernel.path,
      bzImage: bzImage.path,
      initrd: initramfs.path,
      append: `console=ttyS0 ${append}`.trim(),
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
    peers: peers.map(([label, emulator]) => subject(label, emulator)),
  };
}
