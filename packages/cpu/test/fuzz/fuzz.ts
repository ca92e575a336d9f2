import { OPCODES } from "../../src/isa/opcodes.ts";
import { encodableForms, encode, operandSizes } from "../../src/isa/testing/encode.ts";
import type { ProcessorState, SegmentName } from "../conformance/machine.ts";
import type { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { At, User, World } from "../conformance/world.ts";
import type { Mode, Paging } from "../conformance/world.ts";
import { Chooser } from "../oracle/values.ts";

/** How a round begins. */
interface Start {
  readonly mode: Mode;
  readonly paging: Paging;
  readonly cpl: 0 | 3;
  readonly compatibility: boolean;
  /** Default operand size of the code. */
  readonly bits: 16 | 32 | 64;
}

const STARTS: readonly Start[] = [
  { mode: "real", paging: "none", cpl: 0, compatibility: false, bits: 16 },
  ...(["none", "32-bit", "pae"] as const).flatMap((paging) =>
    ([0, 3] as const).flatMap((cpl) =>
      ([16, 32] as const).map((bits): Start => ({
        mode: "protected",
        paging,
        cpl,
        compatibility: false,
        bits,
      })),
    ),
  ),
  ...([0, 3] as const).flatMap((cpl): Start[] => [
    { mode: "long", paging: "4-level", cpl, compatibility: false, bits: 64 },
    { mode: "long", paging: "4-level", cpl, compatibility: true, bits: 32 },
  ]),
];

const CODE_BYTES = 0x1000;

function randomBytes(chooser: Chooser, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => chooser.below(256));
}

/** Instructions of the opcode table one after the other, with random prefixes and operands. */
function randomInstructions(chooser: Chooser, bits: 16 | 32 | 64, length: number): Uint8Array {
  const code = randomBytes(chooser, length);
  for (let at = 0; at < length - 16;) {
    const entry = chooser.pick(OPCODES);
    const sizes = operandSizes(entry, bits);
    if (sizes.length === 0) continue;
    const form = chooser.pick(encodableForms(entry));
    const wide = bits === 64 ? 32 : bits === 32 ? 16 : 32;
    const { bytes } = encode(
      entry,
      {
        mode: bits,
        operandSize: chooser.pick(sizes),
        addressSize: chooser.oneIn(4) ? wide : bits,
        ...(form === "none" ? {} : { form }),
        ...(chooser.oneIn(8) ? { segment: chooser.below(6) } : {}),
        lock: chooser.oneIn(12),
      },
      chooser.next,
    );
    code.set(bytes.subarray(0, length - at), at);
    at += bytes.length;
  }
  return code;
}

/** A pointer into what the world maps, mostly. */
function randomPointer(chooser: Chooser): bigint {
  const base = chooser.pick([At.data, At.code, At.gdt, At.idt, At.tss, At.stackTop, At.tables]);
  const near = BigInt(chooser.below(0x1000));
  if (chooser.oneIn(3)) return chooser.value();
  return chooser.oneIn(3) ? User.code + near : BigInt(base) + near;
}

const SEGMENT_NAMES: readonly SegmentName[] = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"];

function shake(chooser: Chooser, state: ProcessorState, start: Start): void {
  for (let i = 0; i < 16; i++) {
    if (i !== 4 || chooser.oneIn(6)) state.registers[i] = randomPointer(chooser);
  }
  state.rflags = 2 | (chooser.next() & 0x254fd5 & (chooser.oneIn(4) ? -1 : 0xcd5));
  if (chooser.oneIn(8)) {
    for (let i = 0; i < 4; i++) state.debug[i] = randomPointer(chooser);
    state.debug[7] = BigInt(chooser.next() & 0xffff2bff) & 0xffffffffn;
  }
  // AM, TS, EM, MP, WP; PCIDE, SMEP, SMAP, UMIP, FSGSBASE, OSXSAVE, TSD, DE, PSE, PGE.
  if (chooser.oneIn(3)) state.cr0 = (state.cr0 ^ (chooser.next() & 0x5000e)) >>> 0;
  if (chooser.oneIn(3)) state.cr4 |= chooser.next() & 0x35089c;
  if (start.mode === "real") state.cr4 &= ~0x20000;
  if (chooser.oneIn(10)) {
    const name = chooser.pick(SEGMENT_NAMES);
    const segment = state.segments[name];
    segment.base = start.mode === "long" ? segment.base : chooser.value() & 0xffffffffn;
    segment.limit = chooser.pick([0, 0xff, 0xffff, 0xfffff, 0xffffffff]);
  }
  if (start.bits === 16 && start.mode === "protected") state.segments.cs.attributes &= ~0x400;
  if (chooser.oneIn(2)) state.msrs = { 0x1b: 0xfee00d00n, 0x80f: 0x1ffn };
  if (chooser.oneIn(3)) {
    state.msrs[0x174] = BigInt(chooser.pick([0, 8, 0x18, 0x10]));
    state.msrs[0xc0000081] = chooser.bits64();
    state.msrs[0xc0000082] = BigInt.asUintN(64, BigInt.asIntN(48, randomPointer(chooser)));
  }
}

/** Damages tables: descriptors, gates, page-table entries. */
function damage(chooser: Chooser, world: World): void {
  for (let i = 0; i < 8; i++) {
    const table = chooser.pick([
      At.gdt,
      At.idt,
      At.tss,
      At.tables,
      At.tables + 0x1000,
      At.tables + 0x2000,
    ]);
    const at = table + chooser.below(0x40) * 8;
    const bit = 1n << BigInt(chooser.below(64));
    world.u64(at, chooser.oneIn(3) ? chooser.bits64() : world.readU64(at) ^ bit);
  }
}

/** What a round came to. */
export interface Round {
  readonly instructions: number;
  readonly end: string;
}

/**
 * One round of nonsense: random code in a random mode. Whatever the guest does, the host must not throw and
 * every `run` must come back.
 */
export function fuzzRound(machine: VcpuMachine, seed: number): Round {
  const chooser = new Chooser(seed);
  const start = chooser.pick(STARTS);
  const world = new World(machine, start);
  const structured = !chooser.oneIn(3);
  const code = structured
    ? randomInstructions(chooser, start.bits, CODE_BYTES)
    : randomBytes(chooser, CODE_BYTES);
  machine.write(At.code, code);
  machine.write(At.data, randomBytes(chooser, 0x1000));
  // Handlers that go on instead of halting: back to where they came from, or into the code.
  if (chooser.oneIn(2)) {
    const wide = start.mode === "long" ? [0x48, 0xcf] : [0xcf, 0xf4];
    for (let vector = 0; vector < 256; vector++)
      machine.write(At.handlers + vector, Uint8Array.of(wide[vector & 1] as number));
    for (let vector = 0; vector < 32; vector++)
      world.gate(vector, { offset: At.code + chooser.below(CODE_BYTES) });
  }
  if (chooser.oneIn(3)) damage(chooser, world);
  shake(chooser, world.state, start);
  machine.setState(0, world.state);
  const [cpu] = machine.processors;
  if (cpu === undefined) throw new Error("a machine without a processor");
  const before = cpu.instructions;
  let end = "";
  for (let turn = 0; turn < 6; turn++) {
    end = cpu.run(500);
    if (end === "shutdown" || end === "wait") break;
    if (chooser.oneIn(4)) machine.nmi(0);
    if (chooser.oneIn(2)) machine.interrupt(0, chooser.below(256));
    machine.pass(chooser.below(1_000_000));
  }
  return { instructions: cpu.instructions - before, end };
}
