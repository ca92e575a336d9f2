import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Decoder, createFlatProcessor } from "@queztl/cpu";
import type { FlatProcessor } from "@queztl/cpu";
import { defineBench, importPeer } from "./src/index.ts";
import type { Case } from "./src/index.ts";
import { guestProgram } from "./src/guest-program.ts";
import type { GuestProgram } from "./src/guest-program.ts";

const programs = new Map<string, GuestProgram>();

/** A program, built once by the host's compiler. */
function built(source: string): GuestProgram {
  const program = programs.get(source) ?? guestProgram(source);
  programs.set(source, program);
  return program;
}

/** Processor time of a command in seconds: on a busy machine the wall says nothing. */
function seconds(command: readonly string[]): number {
  const script = 'TIMEFORMAT="%3U %3S"; time "$@"';
  const { stderr, status } = spawnSync("bash", ["-c", script, "-", ...command], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stderr
    .trim()
    .split(" ")
    .reduce((sum, part) => sum + Number(part), 0);
}

/** Seconds that so many more rounds take a program outside: start-up does not count. */
function outside(via: readonly string[], work: Work): number {
  const [long, short] = work.paths;
  return seconds([...via, long]) - seconds([...via, short]);
}

/** One loop of a program: how often it runs in a measurement, and less for what start-up takes. */
interface Work {
  readonly source: string;
  readonly words: Readonly<Record<string, number>>;
  readonly rounds: number;
  readonly paths: readonly [string, string];
}

const SHORT = 20;
const RSP = 4;

function workOf(source: string, words: Readonly<Record<string, number>>, rounds: number): Work {
  let paths: [string, string] | undefined;
  return {
    source,
    words,
    rounds,
    get paths() {
      const path = (n: number): string => built(source).withWords({ ...words, rounds: n });
      return (paths ??= [path(rounds), path(rounds / SHORT)]);
    },
  };
}

const processors = new Map<string, FlatProcessor>();

/** Seconds of so many rounds in a processor of ours, translated code at hand from the rounds before. */
async function inside(tier: 0 | "auto", work: Work, wide = false): Promise<number> {
  const program = built(work.source);
  const key = `${work.source} ${tier} ${wide}`;
  const ramBytes = 8 * 1024 * 1024;
  const processor =
    processors.get(key) ?? program.load(createFlatProcessor({ ramBytes, tier, wide }));
  processors.set(key, processor);
  const { memory, vcpu } = processor;
  const run = (rounds: number): number => {
    for (const [name, value] of Object.entries({ ...work.words, rounds })) {
      memory.writeUint32(program.symbol(name), value);
    }
    vcpu.rip = BigInt(program.entry);
    vcpu.registers[RSP] = BigInt(ramBytes - 64);
    vcpu.halted = false;
    const start = process.cpuUsage();
    // The program's exit is a SYSCALL, which leads to the HLT at address 0.
    for (let end = "budget"; end !== "halt"; end = vcpu.run(1_000_000)) {
      if (end !== "budget") throw new Error(`it ended by ${end}`);
    }
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
  run(work.rounds / SHORT);
  // What was hot is compiled beside the run.
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return run(work.rounds) - run(work.rounds / SHORT);
}

const TCG = { debian: ["qemu-user"] };
const GCC = { debian: ["gcc", "binutils"] };

function loop(name: string, work: Work): Case {
  return {
    name,
    unit: "s",
    better: "lower",
    ours: { name: "queztl", needs: GCC, measure: () => inside("auto", work) },
    peers: [
      {
        name: "QEMU TCG (user mode)",
        needs: TCG,
        measure: () => outside(["qemu-x86_64"], work),
      },
      { name: "native", measure: () => outside([], work) },
    ],
  };
}

const HOT_MIX = workOf("hot-mix.s", {}, 4_000_000);

const KERNELS: readonly (readonly [name: string, rounds: number])[] = [
  ["sieve", 100],
  ["sort", 40],
  ["matrix multiply, integer", 100],
  ["CRC-32, bit by bit", 100],
  ["SHA-256", 100],
  ["compression, LZ", 240],
  ["linked list", 100],
  ["bytecode interpreter", 100],
  ["matrix multiply, double", 60],
  ["n-body, double", 40],
  ["FFT, double", 600],
];

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
    "the processor without a machine around it: loops that programs are made of, and decoding",
  cases: [
    loop("the hot mix", HOT_MIX),
    {
      name: "the hot mix, for guests above 3.5 GiB",
      unit: "s",
      better: "lower",
      ours: { name: "64-bit memory", needs: GCC, measure: () => inside("auto", HOT_MIX, true) },
      peers: [
        { name: "32-bit memory", measure: () => inside("auto", HOT_MIX) },
        { name: "interpreted", measure: () => inside(0, HOT_MIX) },
      ],
    },
    ...KERNELS.map(([name, rounds], kernel) => loop(name, workOf("kernels.c", { kernel }, rounds))),
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
