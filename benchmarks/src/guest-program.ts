import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseElf } from "@queztl/boot";
import type { FlatProcessor } from "@queztl/cpu";

/** A small program of `guest/`, built for Linux and loadable into a processor without an operating system. */
export interface GuestProgram {
  /** Address of its first instruction. */
  readonly entry: number;
  symbol(name: string): number;
  /** A copy of the program with 32-bit words of its data set; the copy's path. */
  withWords(values: Readonly<Record<string, number>>): string;
  /** Loads it at its addresses, with a HLT at address 0 where a system call ends. */
  load(processor: FlatProcessor): FlatProcessor;
}

/** Assembles and links `guest/<source>` with the host's compiler: static, at a low address. */
export function guestProgram(source: string): GuestProgram {
  const folder = mkdtempSync(join(tmpdir(), "queztl-bench-"));
  const path = join(folder, "program");
  const input = fileURLToPath(new URL(`../guest/${source}`, import.meta.url));
  const options =
    "-O2 -fno-stack-protector -ffreestanding -fno-tree-loop-distribute-patterns -mno-red-zone " +
    "-fno-math-errno -fno-pie -no-pie -mstackrealign -nostdlib -static -Wl,-Ttext-segment=0x100000 -Wl,--build-id=none";
  execFileSync("gcc", [...options.split(" "), "-o", path, input]);
  const file = readFileSync(path);
  const elf = parseElf(file);
  const symbols = new Map(
    execFileSync("nm", [path], { encoding: "utf8" })
      .split("\n")
      .map((line) => line.split(" "))
      .map(([address = "", , name = ""]) => [name, Number.parseInt(address, 16)]),
  );
  const symbol = (name: string): number => {
    const address = symbols.get(name);
    if (address === undefined) throw new Error(`${source} has no symbol ${name}`);
    return address;
  };
  let copies = 0;
  return {
    entry: symbol("_start"),
    symbol,
    withWords(values) {
      const copy = Uint8Array.from(file);
      for (const [name, value] of Object.entries(values)) {
        const address = symbol(name);
        const segment = elf.segments.find(
          (s) => address >= s.physical && address < s.physical + s.bytes.length,
        );
        if (segment === undefined) throw new Error(`${name} is not in the file`);
        const at = segment.bytes.byteOffset - file.byteOffset + (address - segment.physical);
        new DataView(copy.buffer).setUint32(at, value, true);
      }
      const target = join(folder, `copy-${copies++}`);
      writeFileSync(target, copy);
      chmodSync(target, 0o755);
      return target;
    },
    load(processor) {
      for (const { physical, bytes } of elf.segments) processor.memory.writeBytes(physical, bytes);
      processor.memory.writeUint8(0, 0xf4);
      return processor;
    },
  };
}
