import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Needs } from "./bench.ts";

/** The command's file, beside the package's entry: its source here, its build in a release. */
const ENTRY = import.meta.resolve("@queztl/hypervisor");
export const QUEZTL_VM = fileURLToPath(new URL(`./node/main${ENTRY.slice(-3)}`, ENTRY));

/** What is booted, the same in each. */
export interface MachineFiles {
  /** An ELF file. */
  readonly kernel: string;
  /** The same kernel as Debian ships it, for an emulator that takes no ELF file. */
  readonly bzImage: string;
  readonly initrd: string;
  readonly append: string;
  readonly memoryMib: number;
  /** A read-only root disk. */
  readonly disk?: string | undefined;
}

/** A program that boots a machine with its serial port at the program's standard input and output. */
export interface Emulator {
  readonly program: string;
  readonly needs?: Needs;
  readonly args: (files: MachineFiles) => readonly string[];
}

const words = (text: string): string[] => text.split(" ");

export const queztlVm: Emulator = {
  program: process.execPath,
  args: ({ kernel, initrd, append, memoryMib, disk }) => [
    "--conditions=@queztl/source",
    QUEZTL_VM,
    ...words(`run --memory ${memoryMib} --kernel ${kernel} --initrd ${initrd} --append`),
    append,
    ...(disk === undefined ? [] : ["--disk", `${disk},readonly`]),
  ],
};

/**
 * `queztl-vm` as npm installs it, for where its start counts: run from its sources it first loads what strips their types, and
 * takes a sixth of a second more for that. `setup` builds it.
 */
export const builtQueztlVm: Emulator & { readonly setup: () => void } = {
  program: process.execPath,
  setup() {
    execFileSync("pnpm", ["exec", "turbo", "run", "build", "--filter=@queztl/hypervisor"], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      stdio: ["ignore", "ignore", "inherit"],
    });
  },
  args: (files) => {
    const built = fileURLToPath(new URL("../dist/node/main.js", ENTRY));
    return [built, ...queztlVm.args(files).slice(2)];
  },
};

/** QEMU with TCG; a 32-bit guest has the program that is made for such. */
export const qemuTcg: Emulator = {
  program: "qemu-system-x86_64",
  needs: { debian: ["qemu-system-x86"] },
  args: ({ kernel, initrd, append, memoryMib, disk }) => [
    ...words(`-accel tcg -cpu max -m ${memoryMib} -nographic -no-reboot -nic none`),
    ...words(`-kernel ${kernel} -initrd ${initrd} -append`),
    append,
    ...(disk === undefined ? [] : ["-drive", `file=${disk},format=raw,if=virtio,readonly=on`]),
  ],
};

/** QEMU's emulator of 32-bit processors, which spares itself the upper halves of registers. */
export const qemuTcg32: Emulator = { ...qemuTcg, program: "qemu-system-i386" };

/** v86 in a process of its own; its package comes without a BIOS, so it takes Debian's. */
export const v86: Emulator = {
  program: process.execPath,
  needs: { npm: ["v86@0.5.462"], debian: ["seabios"] },
  args: ({ bzImage, initrd, append, memoryMib }) => [
    fileURLToPath(new URL("./v86-machine.ts", import.meta.url)),
    bzImage,
    initrd,
    append,
    String(memoryMib),
  ],
};
