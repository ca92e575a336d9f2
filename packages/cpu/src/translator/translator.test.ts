import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LEAST_RECORD_BYTES } from "../execute/code-cache.ts";
import { createFlatProcessor } from "../flat-processor.ts";
import type { FlatProcessor } from "../flat-processor.ts";
import { semanticsName } from "../interpreter/shapes.ts";
import { X86_64_V2 } from "../isa/features.ts";
import { isX87 } from "../isa/opcode-entry.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { encodableForms, encode, operandSizes } from "../isa/testing/encode.ts";
import { descriptions } from "../semantics/descriptions.ts";
import { Segment, SegmentField, State } from "../state/layout.ts";
import { RunStatus } from "../state/status.ts";

const RAM = 64 * 1024;
const CODE = 0x1000;
/** Data lies around the border of two pages, so that accesses cross it. */
const DATA = 0x9000;
const STACK = 0xb000;
const INSTRUCTIONS = 24;
const MOST_EXECUTED = 600;
const RUNS = 60;

type Random = () => number;

function randomNumbers(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  };
}

const below = (random: Random, limit: number): number => random() % limit;
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T;

const offered = new Set<string>(X86_64_V2);

/** The bits of the code that is run. */
type Bits = 32 | 64;

function instructionsOf(bits: Bits) {
  const available = OPCODES.filter(
    (entry) => offered.has(entry.feature) && operandSizes(entry, bits, "intel").length > 0,
  );
  return {
    described: available.filter((entry) => descriptions[semanticsName(entry)] !== undefined),
    /** What only helpers do: a region leaves there. */
    helped: available.filter(
      (entry) => isX87(entry) || /^(cpuid|enter|popf|pusha|cmpxchg8b|xsave)$/.test(entry.mnemonic),
    ),
  };
}
const INSTRUCTION_SETS = { 32: instructionsOf(32), 64: instructionsOf(64) };

interface Program {
  readonly bytes: Uint8Array;
  /** Where its instructions begin. */
  readonly starts: readonly number[];
}

function instruction(random: Random, entry: OpcodeEntry, bits: Bits): Uint8Array {
  const address = below(random, 8) === 0 ? ((bits / 2) as 16 | 32) : bits;
  const form = pick(random, encodableForms(entry));
  const string = descriptions[semanticsName(entry)]?.string === true;
  const relative = entry.operands.some(({ kind }) => kind === "relative");
  // Mostly near what the registers hold.
  const memory = {
    base: below(random, bits / 4),
    index: pick(random, [-1, -1, -1, 1, bits === 64 ? 9 : 3]),
    scale: 0,
    disp: pick(random, [0, 1, 8, 16, -16, -3, 64]),
  };
  return encode(
    entry,
    {
      mode: bits,
      vendor: "intel",
      operandSize: pick(random, operandSizes(entry, bits, "intel")),
      addressSize: address,
      ...(form === "none" ? {} : { form }),
      ...(form === "mem" && address !== 16 ? { memory } : {}),
      ...(entry.lock && form === "mem" && below(random, 4) === 0 ? { lock: true } : {}),
      ...(string && !relative && below(random, 2) === 0
        ? { repeat: pick(random, ["rep", "repne"] as const) }
        : {}),
      ...(!relative && below(random, 10) === 0 ? { segment: pick(random, [3, 4, 5]) } : {}),
      ...(entry.operands.some(({ kind }) => kind === "moffs")
        ? { offset: BigInt(DATA + below(random, 64) - 32) }
        : {}),
    },
    random,
  ).bytes;
}

function program(random: Random, bits: Bits): Program {
  const { described, helped } = INSTRUCTION_SETS[bits];
  const favourites = described.filter(() => below(random, 12) === 0);
  const list: { entry: OpcodeEntry; bytes: Uint8Array }[] = [];
  for (let i = 0; i < INSTRUCTIONS; i++) {
    const source = below(random, 40) === 0 ? helped : favourites;
    if (source.length === 0) continue;
    const entry = pick(random, source);
    // A program of jumps would not get far.
    const leaves = /^(jmp|call|ret)$/.test(entry.mnemonic);
    if (leaves && below(random, 3) !== 0) continue;
    list.push({ entry, bytes: instruction(random, entry, bits) });
  }
  const starts: number[] = [];
  let end = 0;
  for (const { bytes } of list) {
    starts.push(end);
    end += bytes.length;
  }
  // Round again: blocks that end are entered with small budgets too.
  const joined = new Uint8Array(end + 5);
  joined[end] = 0xe9;
  new DataView(joined.buffer).setInt32(end + 1, -(end + 5), true);
  list.forEach(({ entry, bytes }, i) => {
    const at = starts[i] as number;
    joined.set(bytes, at);
    const relative = entry.operands.find(({ kind }) => kind === "relative");
    if (relative === undefined) return;
    const next = at + bytes.length;
    const size = relative.width === "b" ? 1 : bytes.length > 4 && bytes[0] !== 0x66 ? 4 : 2;
    const reach = starts.filter((start) => Math.abs(start - next) < 120);
    const distance = pick(random, reach) - next;
    for (let byte = 0; byte < size; byte++) {
      joined[next - size + byte] = (distance >> (8 * byte)) & 0xff;
    }
  });
  return { bytes: joined, starts };
}

function registerValue(random: Random, base: number): bigint {
  switch (below(random, 12)) {
    case 0:
      return BigInt(below(random, 4));
    case 1:
      return BigInt.asUintN(64, -BigInt(below(random, 4)));
    case 2:
      return (BigInt(random()) << 32n) | BigInt(random());
    case 3:
      // Into the program itself: it changes under its translation.
      return BigInt(base + below(random, 160));
    case 4:
      return BigInt(below(random, 65));
    default:
      return BigInt(DATA + ((below(random, 256) - 128) & (below(random, 3) === 0 ? -1 : -16)));
  }
}

/** Both processors begin alike, with the code at an address. */
function prepare(
  pair: readonly FlatProcessor[],
  code: Uint8Array,
  base: number,
  seed: number,
): void {
  for (const { memory, vcpu } of pair) {
    const random = randomNumbers(seed);
    const data = Uint8Array.from({ length: 0x4000 }, () => below(random, 4) && random());
    memory.writeBytes(0x8000, data);
    memory.writeBytes(CODE, new Uint8Array(2 * 4096).fill(0x90));
    memory.writeBytes(base, code);
    for (let i = 0; i < 16; i++) {
      const value = i === 4 ? BigInt(STACK + below(random, 16)) : registerValue(random, base);
      vcpu.setU64(State.Registers + 8 * i, value);
    }
    vcpu.setU64(State.Registers + 8, BigInt(below(random, 20)));
    for (let at = State.Xmm; at < State.Xmm + 256; at += 4) {
      vcpu.setU32(at, pick(random, [0, 0x3f800000, 0x40000000, random()]));
    }
    vcpu.setU32(State.Mxcsr, pick(random, [0x1f80, 0x1f80, 0x1f80, 0x5fc0]));
    vcpu.setU32(State.FpuControl, 0x037f);
    vcpu.setU32(State.FpuTag, pick(random, [0, 0xf0, 0xff, random() & 0xff]));
    for (let at = State.Fpu; at < State.Fpu + 128; at += 16) {
      // Most have few bits of significand: they are doubles, too.
      const low = pick(random, [0, 0x400, 0xc00, random()]);
      const exponent = pick(random, [0x3fff, 0x4004, 0x3c01, 0x43fe, 0x7fff, 0]);
      vcpu.setU64(at, (BigInt(0x80000000 | random()) << 32n) | BigInt(low >>> 0));
      vcpu.setU64(at + 8, BigInt(exponent | (random() & 0x8000)));
    }
    vcpu.setU64(State.Segments + Segment.Fs * SegmentField.Length, 0x40n);
    // Where segments have limits, data goes beyond this one's.
    vcpu.setU32(State.Segments + Segment.Gs * SegmentField.Length + SegmentField.Limit, DATA + 7);
    vcpu.flags = 2 | (random() & 0x8d5) | (below(random, 8) === 0 ? 0x400 : 0);
    vcpu.rip = BigInt(base);
    vcpu.halted = vcpu.shutdown = false;
  }
}

/** Everything a program can see of a processor. */
function visible({ vcpu }: FlatProcessor, status: number): unknown {
  const words = (from: number, to: number): string[] => {
    const list: string[] = [];
    for (let at = from; at < to; at += 8) list.push(vcpu.u64(at).toString(16));
    return list;
  };
  return {
    status,
    fault:
      status === RunStatus.Fault ? [vcpu.u32(State.FaultVector), vcpu.u32(State.FaultError)] : [],
    instructions: vcpu.instructions,
    rip: vcpu.rip.toString(16),
    flags: vcpu.flags.toString(16),
    registers: words(State.Registers, State.Zero),
    vectors: words(State.Xmm, State.Mxcsr + 8),
    x87: words(State.FpuControl, State.Fpu + 128),
  };
}

/** Runs both in slices of the same lengths and compares after each. */
function compare(pair: readonly FlatProcessor[], random: Random, starts: readonly number[]): void {
  const [one, other] = pair as [FlatProcessor, FlatProcessor];
  for (let executed = 0; executed < MOST_EXECUTED;) {
    const budget = 1 + below(random, pick(random, [3, 10, 60, 200]));
    const statuses = pair.map(({ vcpu }) => vcpu.runSlice(budget));
    expect(visible(other, statuses[1] as number)).toEqual(visible(one, statuses[0] as number));
    const { ramOffset } = one.memory;
    const [left, right] = [one, other].map(({ memory }) =>
      Buffer.from(memory.bytes.buffer, ramOffset, RAM),
    ) as [Buffer, Buffer];
    expect(left.compare(right)).toBe(0);
    executed += budget;
    if (statuses[0] === RunStatus.Budget) continue;
    // After a fault, or what an instruction asks the host for, the program goes on somewhere else.
    const rip = BigInt(pick(random, starts));
    for (const { vcpu } of pair) {
      vcpu.rip = rip;
      vcpu.halted = vcpu.shutdown = false;
    }
  }
}

const processors = (bits: Bits, recordBytes?: number): FlatProcessor[] => [
  createFlatProcessor({ ramBytes: RAM, bits }),
  createFlatProcessor({ ramBytes: RAM, bits, tier: "eager", ...(recordBytes && { recordBytes }) }),
];

describe("translated code against the interpreter", () => {
  test.each([
    [64, "", undefined],
    [32, "", undefined],
    [64, " that drop decoded code all the time", LEAST_RECORD_BYTES],
    [32, " that drop decoded code all the time", LEAST_RECORD_BYTES],
  ] as const)(
    "random programs of %i-bit code in slices of any length%s → the same state after each",
    (bits, _, recordBytes) => {
      let pair = processors(bits, recordBytes);
      let regions = 0;
      let drops = 0;
      fc.assert(
        fc.property(fc.noShrink(fc.integer()), (seed) => {
          const random = randomNumbers(seed);
          const { bytes, starts: distances } = program(random, bits);
          // Often across the border of two pages.
          const inside = below(random, 2) === 0;
          const base = inside ? CODE : CODE + 4096 - below(random, bytes.length);
          prepare(pair, bytes, base, seed);
          const starts = distances.map((distance) => base + distance);
          const translated = pair[1] as FlatProcessor;
          // What has run before is known, too: where indirect jumps led, and instructions in two pages.
          translated.vcpu.board.code.threshold = below(random, 4);
          // Known blocks are taken into regions with the ones that lead to them.
          const { memory, vcpu } = translated;
          for (const start of starts) {
            if (below(random, 2) === 0) continue;
            vcpu.board.code.find(vcpu.codeMode, memory.offsetOf(start, 1));
          }
          const count = (): number => vcpu.board.translator?.statistics.regions ?? NaN;
          const before = count();
          const { generation } = vcpu.board.code;
          compare(pair, random, starts);
          regions += count() - before;
          drops += vcpu.board.code.generation - generation;
          // SYSRET may have led out of the mode.
          if (vcpu.codeMode.mode !== bits) pair = processors(bits, recordBytes);
        }),
        { numRuns: RUNS },
      );
      expect(regions).toBeGreaterThan(bits === 64 ? RUNS : RUNS >> 1);
      if (recordBytes !== undefined) expect(drops).toBeGreaterThan(RUNS);
    },
    120_000,
  );

  test("32-bit code that loads data segments with and without a base → the same state, wherever it is translated", () => {
    // again: mov ds, cx; add eax, [0x9000]; push eax; mov ds, dx; add eax, [0x9000]; mov ss, bx; pop esi; jmp again
    const code = "8ed9030500900000508eda0305009000008ed35eebe9";
    const pair = processors(32);
    prepare(pair, Buffer.from(code, "hex"), CODE, 1);
    for (const { memory, vcpu } of pair) {
      // 0x10: base 0, no limit; 0x18: base 4, no limit; 0x20: base 0, a limit of 0xfff.
      const gdt = [0, 0, 0x00cf_9300_0000_ffffn, 0x00cf_9300_0004_ffffn, 0x0040_9300_0000_0fffn];
      gdt.forEach((entry, i) => memory.writeUint64(0x2000 + 8 * i, BigInt(entry)));
      vcpu.setU64(State.Gdtr, 0x2000n);
      vcpu.setU32(State.Gdtr + 8, 0x27);
      for (const [register, selector] of [
        [1, 0x10n],
        [2, 0x18n],
        [3, 0x10n],
      ] as const) {
        vcpu.setU64(State.Registers + 8 * register, selector);
      }
    }
    const modes = new Set<boolean>();
    const starts = [CODE];
    for (const selector of [0x18n, 0x10n, 0x20n, 0n, 0x10n]) {
      for (const { vcpu } of pair) vcpu.setU64(State.Registers + 8 * 2, selector);
      compare(pair, randomNumbers(Number(selector)), starts);
      modes.add((pair[1] as FlatProcessor).vcpu.codeMode.flatData);
    }
    const { statistics } = (pair[1] as FlatProcessor).vcpu.board.translator ?? {};
    expect(statistics?.executed).toBeGreaterThan(50);
    expect(modes).toEqual(new Set([true, false]));
  });

  /** Runs code translated; `change` comes after some instructions. */
  const run = (
    code: readonly number[],
    budget: number,
    first = 0,
    change?: (processor: FlatProcessor) => void,
  ): FlatProcessor => {
    const processor = createFlatProcessor({ ramBytes: RAM, tier: "eager" });
    processor.memory.writeBytes(CODE, Uint8Array.from(code));
    processor.vcpu.rip = BigInt(CODE);
    processor.vcpu.runSlice(first);
    change?.(processor);
    processor.vcpu.runSlice(budget);
    expect(processor.vcpu.board.translator?.statistics.regions).toBeGreaterThan(0);
    return processor;
  };
  const al = ({ vcpu }: FlatProcessor): number => vcpu.u32(State.Registers) & 0xff;

  test("a store into the next instruction of the block → the new one runs", () => {
    // mov byte [rip+1], 5; mov al, 0; jmp $
    expect(al(run([0xc6, 0x05, 1, 0, 0, 0, 5, 0xb0, 0, 0xeb, 0xfe], 3))).toBe(5);
  });

  test("a block's last instruction stores into the next block → the new one runs", () => {
    // mov byte [rip+1], 5; again: mov al, 0; jmp again
    expect(al(run([0xc6, 0x05, 1, 0, 0, 0, 5, 0xb0, 0, 0xeb, 0xfc], 3))).toBe(5);
  });

  test("a call pushes its return address over its target → the new code runs", () => {
    // lea rsp, [rip+19]; call +6; at 18: mov al, 0x77; jmp $. Over that goes 0x100c: or al, 0x10; add [rax], al.
    const code = [
      0x48, 0x8d, 0x25, 19, 0, 0, 0, 0xe8, 6, 0, 0, 0, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    ];
    expect(al(run([...code, 0xb0, 0x77, 0xeb, 0xfe], 4))).toBe(0x10);
  });

  test("bytes behind a translation change, then its own → it is gone", () => {
    // nop; jmp 0x170; there: mov al, 1; cpuid; nop … into the next 128 bytes, which the translation leaves out.
    const code = Array.from({ length: 0x200 }, () => 0x90);
    code.splice(0, 6, 0x90, 0xe9, 0x6a, 1, 0, 0);
    code.splice(0x170, 4, 0xb0, 1, 0x0f, 0xa2);
    const changed = run(code, 1, 4, ({ memory, vcpu }) => {
      vcpu.rip = BigInt(CODE + 0x170);
      memory.writeBytes(CODE + 0x182, Uint8Array.of(0x91));
      memory.writeBytes(CODE + 0x171, Uint8Array.of(2));
    });
    expect(al(changed)).toBe(2);
  });

  test("jumps through a table → the blocks that they lead to are in one region with the jump", async () => {
    // mov ecx, 6; again: rax = ecx & 1; jmp [table + rax * 8]; even: ebx += 1, jmp next; odd: ebx += 16;
    // next: dec ecx; jnz again; jmp to the start
    const hex =
      "b90600000089c883e001488d1511000000ff24c283c301eb0383c310ffc975e5ebde14100000000000001910000000000000";
    const { memory, vcpu } = createFlatProcessor({ ramBytes: RAM, tier: "auto" });
    const { translator } = vcpu.board;
    memory.writeBytes(CODE, Buffer.from(hex, "hex"));
    vcpu.rip = BigInt(CODE);
    vcpu.runSlice(100_000);
    const live = (): number => translator?.statistics.regions ?? NaN;
    for (translator?.translate(); live() === 0;) await setImmediate();
    expect(translator?.statistics).toMatchObject({ regions: 1, instructions: 11 });
    vcpu.runSlice(100_000);
    const { entered = NaN, exitsToAddress } = translator?.statistics ?? {};
    expect(exitsToAddress).toBe(0);
    expect(entered).toBeLessThan(4);
  });

  test("a loop around an instruction in two pages → it is in the region, until either page's half changes", () => {
    // again: inc ecx; add eax, 1, of which two bytes lie in the next page; jmp again
    const at = CODE + 0xffa;
    const code = [0xff, 0xc1, 0x81, 0xc0, 1, 0, 0, 0, 0xeb, 0xf6];
    const processor = createFlatProcessor({ ramBytes: RAM, tier: "eager" });
    const { memory, vcpu } = processor;
    const { translator } = vcpu.board;
    memory.writeBytes(at, Uint8Array.from(code));
    vcpu.rip = BigInt(at);
    vcpu.runSlice(6);
    // What is known by now is taken into the region of what is decoded anew.
    memory.writeBytes(at + 1, Uint8Array.of(0xc1));
    vcpu.runSlice(3);
    const exits = (): number => translator?.statistics.exitsToInstruction ?? NaN;
    const before = exits();
    vcpu.runSlice(300);
    // One where the budget ends, not one each round.
    expect(exits() - before).toBeLessThan(3);
    expect(vcpu.u32(State.Registers)).toBe(103);
    // The instruction's second half.
    memory.writeBytes(CODE + 0x1000, Uint8Array.of(1));
    vcpu.runSlice(3);
    expect(vcpu.u32(State.Registers)).toBe(104 + 0x10000);
    // And its first.
    memory.writeBytes(CODE + 0xffc, Uint8Array.of(0x81, 0xe8));
    vcpu.runSlice(3);
    expect(vcpu.u32(State.Registers)).toBe(103);
  });

  test("blocks too short for a region that are entered all the time → they get regions after all", async () => {
    const { memory, vcpu } = createFlatProcessor({ ramBytes: RAM, tier: "auto" });
    // mov ecx, 0x2000; again: call rcx; add ecx, 16; and ecx, 0x21f0; jmp again. More functions than jumps are compared with.
    const loop = [0xff, 0xd1, 0x83, 0xc1, 0x10, 0x81, 0xe1, 0xf0, 0x21, 0, 0, 0xeb, 0xf3];
    memory.writeBytes(CODE, Uint8Array.of(0xb9, 0, 0x20, 0, 0, ...loop));
    for (let at = 0x2000; at < 0x2200; at += 16) {
      // inc eax; ret
      memory.writeBytes(at, Uint8Array.of(0xff, 0xc0, 0xc3));
    }
    vcpu.rip = BigInt(CODE);
    vcpu.registers[4] = 0x8000n;
    const exits = (): number => vcpu.board.translator?.statistics.exitsToBlock ?? NaN;
    let last = Infinity;
    for (const until = performance.now() + 25_000; last > 100 && performance.now() < until;) {
      const before = exits();
      for (let turn = 0; turn < 10; turn++) vcpu.run(50_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
      // Before there are regions there is nothing to leave.
      last = (vcpu.board.translator?.statistics.regions ?? 0) > 1 ? exits() - before : Infinity;
    }
    expect(last).toBeLessThanOrEqual(100);
  }, 30_000);

  test("too little budget for a block → it is interpreted as far as that goes", () => {
    // ror eax, 1; ror eax, 1; jmp $-4
    const { vcpu } = run([0xd1, 0xc8, 0xd1, 0xc8, 0xeb, 0xfa], 4, 0, (processor) =>
      processor.vcpu.setU64(State.Registers, 16n),
    );
    expect(vcpu.u64(State.Registers)).toBe(2n);
    expect(vcpu.rip).toBe(BigInt(CODE + 2));
  });
});
