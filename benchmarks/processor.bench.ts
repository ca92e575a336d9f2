import { readFileSync } from "node:fs";
import { Decoder, createFlatProcessor } from "@queztl/cpu";
import type { FlatProcessor } from "@queztl/cpu";
import { guestProgram, loadFlat } from "./src/guest-program.ts";
import type { FlatProgram } from "./src/guest-program.ts";
import { defineBench, importPeer } from "./src/index.ts";
import type { Subject } from "./src/index.ts";

const RAM_BYTES = 8 * 1024 * 1024;
const ROUNDS = 4_000_000;
const RSP = 4;

/** Processor seconds of the hot mix in a processor with no machine around it. */
function hotMix(name: string, tier: 0 | "auto", wide: boolean): Subject {
  let processor: FlatProcessor | undefined;
  let program: FlatProgram | undefined;
  const run = (rounds: number): number => {
    if (!processor || !program) throw new Error("the program is not loaded");
    const { memory, vcpu } = processor;
    memory.writeUint32(program.symbol("rounds"), rounds);
    vcpu.rip = BigInt(program.entry);
    vcpu.registers[RSP] = BigInt(RAM_BYTES - 64);
    vcpu.halted = false;
    const start = process.cpuUsage();
    // The program's exit is a SYSCALL, which leads to the HLT at address 0.
    for (let end = "budget"; end !== "halt"; end = vcpu.run(1_000_000)) {
      if (end !== "budget") throw new Error(`it ended by ${end}`);
    }
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
  return {
    name,
    needs: { debian: ["gcc", "binutils"] },
    async setup() {
      processor = createFlatProcessor({ ramBytes: RAM_BYTES, tier, wide });
      program = loadFlat(guestProgram("hot-mix.s"), processor);
      run(ROUNDS);
      // What was hot is compiled beside the run.
      await new Promise((resolve) => setTimeout(resolve, 200));
    },
    measure: () => run(ROUNDS),
  };
}

const code = readFileSync(process.execPath).subarray(32 << 20, 40 << 20);

function decoded(): number {
  const decoder = new Decoder();
  let count = 0;
  const start = performance.now();
  for (let offset = 0; offset < code.length; count++) {
    decoder.decode(code, offset, code.length, 64);
    offset += Math.max(1, decoder.instruction.length);
  }
  return count / (performance.now() - start) / 1000;
}

interface IcedDecoder {
  position: number;
  decode(): { free(): void };
  free(): void;
}

let icedClass:
  (new (bitness: number, bytes: Uint8Array, options: number) => IcedDecoder) | undefined;

function decodedByIced(): number {
  if (icedClass === undefined) throw new Error("iced-x86 was not imported");
  const part = code.subarray(0, 1 << 20);
  const decoder = new icedClass(64, part, 0);
  let count = 0;
  const start = performance.now();
  for (; decoder.position < part.length - 16; count++) decoder.decode().free();
  const rate = count / (performance.now() - start) / 1000;
  decoder.free();
  return rate;
}

export default defineBench({
  summary: "the processor without a machine around it: kinds of memory, tiers, and decoding",
  cases: [
    {
      name: "the hot mix, for guests above 3.5 GiB",
      unit: "s",
      better: "lower",
      ours: hotMix("64-bit memory", "auto", true),
      peers: [hotMix("32-bit memory", "auto", false), hotMix("interpreted", 0, false)],
    },
    {
      name: "decoding the bytes of a program",
      unit: "M instructions/s",
      better: "higher",
      ours: { name: "queztl decoder", measure: decoded },
      peers: [
        {
          name: "iced-x86 (WebAssembly)",
          needs: { npm: ["iced-x86@1.21.0"] },
          async setup() {
            icedClass = (await importPeer("iced-x86"))["Decoder"] as typeof icedClass;
          },
          measure: decodedByIced,
        },
      ],
    },
  ],
});
