import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseElf } from "@queztl/boot";
import type { FlatProcessor } from "@queztl/cpu";

const folder = mkdtempSync(join(tmpdir(), "queztl-programs-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

const OPTIONS =
  "-O2 -fno-stack-protector -ffreestanding -fno-tree-loop-distribute-patterns -fno-math-errno " +
  "-fno-pie -no-pie -nostdlib -static -Wl,-Ttext-segment=0x100000 -Wl,--build-id=none";

/** The path of `guest/<source>`, built by the host's compiler: a static program for Linux, at a low address. */
export function guestProgram(source: string): string {
  const path = join(folder, source.replace(/\.\w+$/, ""));
  const input = fileURLToPath(new URL(`../guest/${source}`, import.meta.url));
  execFileSync("gcc", [...OPTIONS.split(" "), "-o", path, input]);
  return path;
}

/** A program in a processor without an operating system. */
export interface FlatProgram {
  /** Address of its first instruction. */
  readonly entry: number;
  symbol(name: string): number;
}

/** Loads a program at its addresses, with a HLT at address 0, where a system call ends. */
export function loadFlat(path: string, { memory }: FlatProcessor): FlatProgram {
  for (const { physical, bytes } of parseElf(readFileSync(path)).segments) {
    memory.writeBytes(physical, bytes);
  }
  memory.writeUint8(0, 0xf4);
  const symbols = new Map(
    execFileSync("nm", [path], { encoding: "utf8" })
      .split("\n")
      .map((line) => line.split(" "))
      .map(([address = "", , name = ""]) => [name, Number.parseInt(address, 16)]),
  );
  const symbol = (name: string): number => {
    const address = symbols.get(name);
    if (address === undefined) throw new Error(`${path} has no symbol ${name}`);
    return address;
  };
  return { entry: symbol("_start"), symbol };
}
