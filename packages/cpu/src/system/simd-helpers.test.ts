import { GuestMemory } from "@queztl/memory";
import { beforeEach, describe, expect, test } from "vitest";
import { Vector } from "../execute/guest-fault.ts";
import { Segment, SegmentField, State } from "../state/layout.ts";
import { RunStatus } from "../state/status.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../vcpu.ts";

const CODE = 0x1000;
const DATA = 0x2000;
const RAX = 0;
const RDI = 7;

const memory = new GuestMemory({
  ramBytes: 1 << 20,
  arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES,
});
const cpu = new Vcpu(createBoard(memory));

/** Executes one instruction; the vector of its fault, or undefined. */
function execute(...code: number[]): number | undefined {
  memory.writeBytes(CODE, Uint8Array.from(code));
  cpu.rip = BigInt(CODE);
  cpu.sync();
  const status = cpu.runSlice(1);
  return status === RunStatus.Fault ? cpu.u32(State.FaultVector) : undefined;
}

const xmm = (number: number): bigint => cpu.u64(State.Xmm + 16 * number);
const setXmm = (number: number, low: bigint, high = 0n): void => {
  cpu.setU64(State.Xmm + 16 * number, low);
  cpu.setU64(State.Xmm + 16 * number + 8, high);
};

const ONE = 0x3ff0000000000000n;
const DIVSD = [0xf2, 0x0f, 0x5e, 0xc1];
const ADDSD_RAX = [0xf2, 0x0f, 0x58, 0x00];
const PADDB_RAX = [0x0f, 0xfc, 0x00];
const NOT_CANONICAL = 0x8000_0000_0000_0000n;

beforeEach(() => {
  cpu.setU32(State.Cr0, 0x33);
  cpu.setU32(State.Cr4, 0x600);
  cpu.setU32(State.Efer, 0x500);
  cpu.setU32(cpu.segmentAt(Segment.Cs, SegmentField.Attributes), 0x29b);
  cpu.setU32(State.Mxcsr, 0x1f80);
  cpu.x87.registers.statusWord = 0x1800;
  cpu.x87.registers.tags = 0;
  setXmm(0, ONE);
  setXmm(1, 0n);
});

describe("exceptions of vector instructions", () => {
  test("an unmasked division by zero → #XM, flag set, destination unwritten", () => {
    cpu.setU32(State.Mxcsr, 0x1d80);
    expect(execute(...DIVSD)).toBe(Vector.SimdFault);
    expect(cpu.u32(State.Mxcsr)).toBe(0x1d84);
    expect(xmm(0)).toBe(ONE);
  });

  test("the same with CR4.OSXMMEXCPT clear → #UD", () => {
    cpu.setU32(State.Mxcsr, 0x1d80);
    cpu.setU32(State.Cr4, 0x200);
    expect(execute(...DIVSD)).toBe(Vector.InvalidOpcode);
    expect(xmm(0)).toBe(ONE);
  });

  test("a masked division by zero → infinity and the flag", () => {
    expect(execute(...DIVSD)).toBeUndefined();
    expect(cpu.u32(State.Mxcsr)).toBe(0x1f84);
    expect(xmm(0)).toBe(0x7ff0000000000000n);
  });

  test.each([
    ["SSE without CR4.OSFXSR", 0x33, 0x400, ADDSD_RAX, Vector.InvalidOpcode],
    ["SSE with CR0.EM", 0x37, 0x600, ADDSD_RAX, Vector.InvalidOpcode],
    ["SSE with CR0.TS", 0x3b, 0x600, ADDSD_RAX, Vector.NoDevice],
    ["MMX without CR4.OSFXSR", 0x33, 0x400, PADDB_RAX, undefined],
    ["MMX with CR0.EM", 0x37, 0x600, PADDB_RAX, Vector.InvalidOpcode],
    ["MMX with CR0.TS", 0x3b, 0x600, PADDB_RAX, Vector.NoDevice],
    ["LDMXCSR with CR0.TS", 0x3b, 0x600, [0x0f, 0xae, 0x10], Vector.NoDevice],
    ["FISTTP with CR0.TS", 0x3b, 0x600, [0xdd, 0x08], Vector.NoDevice],
    ["CRC32 with CR0.TS", 0x3b, 0x600, [0xf2, 0x0f, 0x38, 0xf1, 0xc0], undefined],
  ])("%s → its fault, or none", (_, cr0, cr4, code, vector) => {
    cpu.setU32(State.Cr0, cr0);
    cpu.setU32(State.Cr4, cr4);
    cpu.registers[RAX] = BigInt(DATA);
    memory.writeUint64(DATA, 0n);
    expect(execute(...code)).toBe(vector);
  });

  test("memory that faults → nothing changed", () => {
    cpu.registers[RAX] = NOT_CANONICAL;
    setXmm(0, 3n, 4n);
    expect(execute(...ADDSD_RAX)).toBe(Vector.GeneralProtection);
    expect(execute(0x66, 0x0f, 0x16, 0x00)).toBe(Vector.GeneralProtection);
    expect([xmm(0), cpu.u64(State.Xmm + 8), cpu.u32(State.Mxcsr)]).toEqual([3n, 4n, 0x1f80]);
    expect(execute(...PADDB_RAX)).toBe(Vector.GeneralProtection);
    expect(execute(0x0f, 0x7f, 0x00)).toBe(Vector.GeneralProtection);
    expect([cpu.x87.registers.statusWord, cpu.x87.registers.tags]).toEqual([0x1800, 0]);
  });

  test("a waiting x87 exception → #MF from MMX, also before its memory operand faults", () => {
    cpu.x87.registers.statusWord = 0x8081;
    cpu.registers[RAX] = NOT_CANONICAL;
    expect(execute(...PADDB_RAX)).toBe(Vector.MathFault);
    expect(execute(0x0f, 0x77)).toBe(Vector.MathFault);
    expect(execute(0x66, 0x0f, 0xfc, 0xc0)).toBeUndefined();
  });

  test("MXCSR with a reserved bit → #GP, MXCSR as before", () => {
    cpu.registers[RAX] = BigInt(DATA);
    memory.writeUint64(DATA, 0x11f80n);
    expect(execute(0x0f, 0xae, 0x10)).toBe(Vector.GeneralProtection);
    expect(cpu.u32(State.Mxcsr)).toBe(0x1f80);
  });

  test("a masked store with a 32-bit address and FS → the segment's base, the low half of RDI", () => {
    cpu.setU64(cpu.segmentAt(Segment.Fs, SegmentField.Base), BigInt(DATA));
    cpu.registers[RDI] = 0xffff_ffff_0000_0010n;
    memory.writeUint64(DATA + 0x10, 0x1111111111111111n);
    memory.writeUint64(DATA + 0x18, 0x2222222222222222n);
    setXmm(0, 0x0807060504030201n, 0x100f0e0d0c0b0a09n);
    setXmm(1, 0x8000000000000080n, 0x00000000ff000000n);
    expect(execute(0x64, 0x67, 0x66, 0x0f, 0xf7, 0xc1)).toBeUndefined();
    expect(memory.readUint64(DATA + 0x10)).toBe(0x0811111111111101n);
    expect(memory.readUint64(DATA + 0x18)).toBe(0x222222220c222222n);
  });
});
