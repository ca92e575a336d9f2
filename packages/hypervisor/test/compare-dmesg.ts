/**
 * Boots the same kernel and initramfs under QEMU's emulator and under Queztl, and prints the lines of the kernel's log
 * that only one of them has; first those that speak of trouble.
 *
 *     node --conditions=@queztl/source test/compare-dmesg.ts [cloud|generic] [CPUS] [MIB]
 */
import { spawn } from "node:child_process";
import type { Flavour } from "@queztl/images";
import { Guest, imageOf, kernelOf } from "./guest.ts";

/** Words of lines that a healthy kernel does not print. */
const TROUBLE =
  /warn|oops|unreliable|calibration failed|lockup|stall|bug|error|fail|unable|invalid|not found|call trace|timed out|unexpected|unstable/i;

/** How two kernel logs differ. */
export interface LogDifference {
  /** Lines with words of trouble that only ours has. */
  readonly trouble: readonly string[];
  readonly onlyOurs: readonly string[];
  readonly onlyTheirs: readonly string[];
}

/** Compares kernel logs but for times, numbers and addresses. */
export function compareLogs(ours: string, theirs: string): LogDifference {
  const [mine, other] = [linesOf(ours), linesOf(theirs)];
  const missing = (from: Map<string, string>, to: Map<string, string>): string[] =>
    [...from].filter(([key]) => !to.has(key)).map(([, line]) => line);
  const onlyOurs = missing(mine, other);
  return {
    trouble: onlyOurs.filter((line) => TROUBLE.test(line)),
    onlyOurs,
    onlyTheirs: missing(other, mine),
  };
}

/** Lines of the kernel's log by what they say, numbers left out. */
function linesOf(log: string): Map<string, string> {
  const lines = log
    .split(/\r?\n/)
    .map((line) => /^\[ *\d+\.\d+\] (.*)$/.exec(line)?.[1])
    .filter((line) => line !== undefined);
  return new Map(lines.map((line) => [line.replaceAll(/0x[\da-f]+|[\da-f]{8,}|\d+/gi, "#"), line]));
}

/** The console of a guest under QEMU until its shell is there. */
export async function bootUnderQemu(
  files: { readonly kernel: string; readonly initrd: string },
  size: { readonly cpus: number; readonly memoryMib: number },
): Promise<string> {
  const machine = `-accel tcg,thread=single -cpu max -m ${size.memoryMib} -smp ${size.cpus} -nographic -no-reboot -nic none`;
  const boot = ["-kernel", files.kernel, "-initrd", files.initrd, "-append", "console=ttyS0"];
  const qemu = spawn("qemu-system-x86_64", [...machine.split(" "), ...boot], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => qemu.kill(), 600_000);
    qemu.once("error", reject);
    qemu.stdout.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (text.includes(":~# ")) qemu.kill();
    });
    qemu.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  if (!text.includes(":~# ")) throw new Error(`no shell under QEMU:\n${text.slice(-1000)}`);
  return text;
}

/** Boots both and compares. */
export async function compareBoots(
  flavour: Flavour,
  size: { readonly cpus: number; readonly memoryMib: number },
): Promise<LogDifference> {
  const image = await imageOf(flavour);
  if (typeof image === "string") throw new Error(image);
  const files = { kernel: image.kernel.path, initrd: image.initramfs.path };
  const theirs = await bootUnderQemu(files, size);
  await using guest = await Guest.boot({ ...(await kernelOf(image)), ...size }, 600_000);
  return compareLogs(guest.console.text, theirs);
}

if (process.argv[1] === import.meta.filename) {
  const [flavour = "cloud", cpus = "1", memoryMib = "512"] = process.argv.slice(2);
  if (flavour !== "cloud" && flavour !== "generic")
    throw new Error("usage: compare-dmesg.ts [cloud|generic] [CPUS] [MIB]");
  const size = { cpus: Number(cpus), memoryMib: Number(memoryMib) };
  const { trouble, onlyOurs, onlyTheirs } = await compareBoots(flavour, size);
  const print = (title: string, lines: readonly string[]): void =>
    console.log(`${title} (${lines.length}):\n${lines.map((line) => `  ${line}\n`).join("")}`);
  print("Trouble that QEMU's guest does not have", trouble);
  print("Only under Queztl", onlyOurs);
  print("Only under QEMU", onlyTheirs);
  process.exitCode = trouble.length > 0 ? 1 : 0;
}
