/**
 * Nanoseconds an instruction in loops of floating-point and packed-integer code, beside a loop of plain
 * integer code, in the interpreter: the best of several rounds, in CPU time.
 * `node --conditions=@queztl/source packages/cpu/bench/vector.ts`
 */
import { GuestMemory } from "@queztl/memory";
import { Segment, SegmentField, State } from "../src/state/layout.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../src/vcpu.ts";

const ROUNDS = 7;
const CODE = 0x1000;
const DATA = 0x10000;
/** Elements of eight bytes that a pass goes over. */
const ELEMENTS = 1024;

const memory = new GuestMemory({
  ramBytes: 1 << 20,
  arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES,
});
const cpu = new Vcpu(createBoard(memory));
cpu.setU32(State.Cr4, 0x600);
cpu.setU32(State.Efer, 0x500);
cpu.setU32(cpu.segmentAt(Segment.Cs, SegmentField.Attributes), 0x29b);
cpu.sync();

interface Loop {
  readonly name: string;
  readonly passes: number;
  /** Instructions from `mov rcx, 1024; mov rsi, DATA` on; `add rsi, step; dec rcx; jnz` follows. */
  readonly body: readonly (readonly number[])[];
  readonly step?: number;
  readonly mxcsr?: number;
}

const LOOPS: readonly Loop[] = [
  {
    name: "integers: mov, add, xor",
    passes: 2000,
    body: [
      [0x48, 0x8b, 0x06],
      [0x48, 0x01, 0xc2],
      [0x48, 0x31, 0xc3],
    ],
  },
  {
    name: "doubles: movsd, mulsd, addsd",
    passes: 2000,
    body: [
      [0xf2, 0x0f, 0x10, 0x06],
      [0xf2, 0x0f, 0x59, 0xc2],
      [0xf2, 0x0f, 0x58, 0xc8],
    ],
  },
  {
    name: "pairs of doubles: movapd, mulpd, addpd",
    passes: 1000,
    step: 16,
    body: [
      [0x66, 0x0f, 0x28, 0x06],
      [0x66, 0x0f, 0x59, 0xc2],
      [0x66, 0x0f, 0x58, 0xc8],
    ],
  },
  {
    name: "packed integers: movdqa, paddd, pmullw, movdqa",
    passes: 1000,
    step: 16,
    body: [
      [0x66, 0x0f, 0x6f, 0x06],
      [0x66, 0x0f, 0xfe, 0xc1],
      [0x66, 0x0f, 0xd5, 0xc2],
      [0x66, 0x0f, 0x7f, 0x06],
    ],
  },
  {
    name: "string search: movdqu, pcmpeqb, pmovmskb, test",
    passes: 1000,
    step: 16,
    body: [
      [0xf3, 0x0f, 0x6f, 0x06],
      [0x66, 0x0f, 0x74, 0xc1],
      [0x66, 0x0f, 0xd7, 0xc0],
      [0x85, 0xc0],
    ],
  },
  {
    name: "checksums: crc32 rax, [rsi]",
    passes: 300,
    body: [[0xf2, 0x48, 0x0f, 0x38, 0xf1, 0x06]],
  },
  {
    name: "doubles that round down (by helper): mulsd",
    passes: 20,
    mxcsr: 0x3fa0,
    body: [[0xf2, 0x0f, 0x59, 0xc3]],
  },
];

/** The loop's code: passes over the data are counted in RDI. */
function assemble({ body, step = 8 }: Loop): Uint8Array {
  const setup = [0xb9, 0, 4, 0, 0, 0xbe, 0, 0, 1, 0];
  const inner = [...body.flat(), 0x48, 0x83, 0xc6, step, 0x48, 0xff, 0xc9];
  const outer = [...setup, ...inner, 0x75, -(inner.length + 2) & 0xff, 0x48, 0xff, 0xcf];
  return Uint8Array.from([...outer, 0x75, -(outer.length + 2) & 0xff, 0x0f, 0x0b]);
}

/** Runs a loop; nanoseconds of CPU time an instruction. */
function run(loop: Loop): number {
  memory.writeBytes(CODE, assemble(loop));
  for (let i = 0; i < 2 * ELEMENTS; i++) {
    memory.writeBytes(DATA + 8 * i, new Uint8Array(Float64Array.of(1 + i / 7).buffer));
  }
  cpu.setU32(State.Mxcsr, loop.mxcsr ?? 0x1fa0);
  for (let i = 0; i < 8; i++) {
    cpu.view.setFloat64(cpu.state + State.Xmm + 8 * i, i < 6 ? 1 + i / 1000 : 1, true);
  }
  cpu.registers[7] = BigInt(loop.passes);
  cpu.rip = BigInt(CODE);
  const before = cpu.instructions;
  const start = process.cpuUsage();
  while (cpu.runSlice(10_000_000) === 0);
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1000) / (cpu.instructions - before);
}

// Round by round, so that no loop pays for the compilation of the interpreter.
const best = LOOPS.map(() => Infinity);
for (let round = 0; round < ROUNDS; round++) {
  LOOPS.forEach((loop, i) => (best[i] = Math.min(best[i] as number, run(loop))));
}
LOOPS.forEach(({ name, body }, i) => {
  console.log(`${name}: ${best[i]?.toFixed(2)} ns an instruction (${body.length + 3} in the loop)`);
});
