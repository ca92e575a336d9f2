import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Decoder, createFlatProcessor } from "@queztl/cpu";
import type { FlatProcessor } from "@queztl/cpu";
import { defineBench, importPeer } from "./src/index.ts";
import { guestProgram } from "./src/guest-program.ts";
import type { GuestProgram } from "./src/guest-program.ts";

/** Instructions of one round of `guest/hot-mix.s`, its rare branch not counted. */
const ROUND = 12;
const ROUNDS = 4_000_000;

let program: GuestProgram | undefined;
const processors = new Map<boolean, FlatProcessor>();

/** The program, assembled and linked once by the host's compiler. */
function hotMix(): GuestProgram {
  return (program ??= guestProgram("hot-mix.s"));
}

function native(command: string[], rounds: number): number {
  const path = hotMix().withWord("rounds", rounds);
  const start = performance.now();
  execFileSync(command[0] ?? path, [...command.slice(1), path]);
  return performance.now() - start;
}

/** Millions of instructions a second, by the difference of a long and a short run: start-up does not count. */
const rateOf = (command: string[]) => (): number => {
  const long = native(command, 20 * ROUNDS);
  const short = native(command, ROUNDS);
  return (19 * ROUNDS * ROUND) / (long - short) / 1000;
};

/** On a memory with 32-bit addresses, or with 64-bit ones. */
const interpreted = (wide: boolean) => (): number => {
  const processor =
    processors.get(wide) ?? hotMix().load(createFlatProcessor({ ramBytes: 8 * 1024 * 1024, wide }));
  processors.set(wide, processor);
  const { memory, vcpu } = processor;
  memory.writeUint32(hotMix().symbol("rounds"), ROUNDS);
  vcpu.rip = BigInt(hotMix().entry);
  vcpu.halted = false;
  const before = vcpu.instructions;
  const start = performance.now();
  // The program's exit is a SYSCALL, which leads to the HLT at address 0.
  const end = vcpu.run(Number.MAX_SAFE_INTEGER);
  const elapsed = performance.now() - start;
  if (end !== "halt") throw new Error(`it ended by ${end}`);
  return (vcpu.instructions - before) / elapsed / 1000;
};

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
  summary:
    "the processor without a machine around it: decoding, and the interpreter on the hot mix",
  cases: [
    {
      name: "interpreter on the hot mix",
      unit: "M instructions/s",
      better: "higher",
      ours: {
        name: "queztl interpreter",
        needs: { debian: ["gcc", "binutils"] },
        measure: interpreted(false),
      },
      peers: [
        {
          name: "QEMU TCG (user mode)",
          needs: { debian: ["qemu-user"] },
          measure: rateOf(["qemu-x86_64"]),
        },
        { name: "native", measure: rateOf([]) },
      ],
    },
    {
      name: "interpreter on the hot mix, for guests above 3.5 GiB",
      unit: "M instructions/s",
      better: "higher",
      ours: {
        name: "64-bit memory",
        needs: { debian: ["gcc", "binutils"] },
        measure: interpreted(true),
      },
      peers: [{ name: "32-bit memory", measure: interpreted(false) }],
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
