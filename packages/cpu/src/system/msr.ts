import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import type { MsrFile } from "../msr-file.ts";
import { Register, Segment, SegmentField, State } from "../state/layout.ts";
import { resume, writeEfer } from "./control-registers.ts";
import { updateKvmClock, writeKvmWallClock } from "./kvm-clock.ts";

const U64 = (1n << 64n) - 1n;
const isCanonical = (value: bigint): boolean =>
  BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

/** How one MSR is read and written; without `write` writing it raises #GP. */
interface Msr {
  read(cpu: Core): bigint;
  write?(cpu: Core, value: bigint): void;
}

type Field = { [K in keyof MsrFile]: MsrFile[K] extends bigint ? K : never }[keyof MsrFile];

/** Plain storage; bits outside `mask` must be zero. */
const stored = (field: Field, mask = U64): Msr => ({
  read: (cpu) => cpu.msr[field],
  write(cpu, value) {
    if (value & ~mask) raise(Vector.GeneralProtection, 0);
    cpu.msr[field] = value;
  },
});

/** An address, which must be canonical. */
const address = (field: Field): Msr => ({
  read: (cpu) => cpu.msr[field],
  write(cpu, value) {
    if (!isCanonical(value)) raise(Vector.GeneralProtection, 0);
    cpu.msr[field] = value;
  },
});

const constant = (value: bigint, ignoresWrites = false): Msr => ({
  read: () => value,
  ...(ignoresWrites ? { write: () => undefined } : {}),
});

const segmentBase = (segment: number): Msr => ({
  read: (cpu) => cpu.u64(cpu.segmentAt(segment, SegmentField.Base)),
  write(cpu, value) {
    if (!isCanonical(value)) raise(Vector.GeneralProtection, 0);
    cpu.setU64(cpu.segmentAt(segment, SegmentField.Base), value);
  },
});

const mtrr = (index: number): Msr => ({
  read: (cpu) => cpu.msr.mtrr.get(index) ?? 0n,
  write: (cpu, value) => void cpu.msr.mtrr.set(index, value),
});

/**
 * Not susceptible: RDCL_NO, IBRS_ALL, SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. An emulated processor does not speculate.
 */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce(
  (bits, bit) => bits | (1n << BigInt(bit)),
  0n,
);

const PAT_TYPES = new Set([0, 1, 4, 5, 6, 7]);

/** The model-specific registers, by number (Intel SDM vol. 4, chapter 2). */
const registers: Readonly<Record<number, Msr>> = {
  0x10: {
    read: (cpu) => cpu.tsc,
    write(cpu, value) {
      const change = BigInt.asUintN(64, value - cpu.tsc);
      cpu.msr.tscOffset = BigInt.asUintN(64, cpu.msr.tscOffset + change);
      cpu.msr.tscAdjust = BigInt.asUintN(64, cpu.msr.tscAdjust + change);
    },
  },
  0x17: constant(0n),
  0x1b: {
    read: (cpu) => cpu.msr.apicBase,
    write: (cpu, value) => cpu.writeApicBase(value),
  },
  // Locked, with nothing enabled: VMX and SGX are not offered.
  0x3a: constant(1n),
  0x3b: {
    read: (cpu) => cpu.msr.tscAdjust,
    write(cpu, value) {
      const change = value - cpu.msr.tscAdjust;
      cpu.msr.tscOffset = BigInt.asUintN(64, cpu.msr.tscOffset + change);
      cpu.msr.tscAdjust = value;
    },
  },
  // IBRS, STIBP, SSBD, BHI_DIS_S.
  0x48: stored("specCtrl", 0x407n),
  0x49: { read: () => raise(Vector.GeneralProtection, 0), write: () => undefined },
  // A microcode revision that no list of broken ones has.
  0x8b: constant(0xffffffff00000000n, true),
  0xfe: constant(0x508n),
  0x10a: constant(ARCH_CAPABILITIES),
  0x174: stored("sysenterCs", 0xffffffffn),
  0x175: address("sysenterEsp"),
  0x176: address("sysenterEip"),
  0x179: constant(0n),
  0x17a: constant(0n, true),
  0x1a0: stored("miscEnable", 0x400c51889n),
  0x1d9: constant(0n, true),
  0x277: {
    read: (cpu) => cpu.msr.pat,
    write(cpu, value) {
      for (let i = 0n; i < 8n; i++) {
        if (!PAT_TYPES.has(Number((value >> (8n * i)) & 0xffn))) raise(Vector.GeneralProtection, 0);
      }
      cpu.msr.pat = value;
    },
  },
  0x2ff: stored("mtrrDefaultType", 0xcffn),
  0x6e0: {
    read: (cpu) => cpu.apic.tscDeadline,
    write: (cpu, value) => void (cpu.apic.tscDeadline = value),
  },
  0xda0: stored("xss", 0n),
  0x4b564d00: {
    read: (cpu) => cpu.msr.kvmWallClock,
    write(cpu, value) {
      cpu.msr.kvmWallClock = value;
      writeKvmWallClock(cpu);
    },
  },
  0x4b564d01: {
    read: (cpu) => cpu.msr.kvmSystemTime,
    write(cpu, value) {
      cpu.msr.kvmSystemTime = value;
      updateKvmClock(cpu);
    },
  },
  0xc0000080: { read: (cpu) => cpu.u64(State.Efer), write: writeEfer },
  0xc0000081: stored("star"),
  0xc0000082: address("lstar"),
  0xc0000083: address("cstar"),
  0xc0000084: stored("fmask", 0xffffffffn),
  0xc0000100: segmentBase(Segment.Fs),
  0xc0000101: segmentBase(Segment.Gs),
  0xc0000102: address("kernelGsBase"),
  0xc0000103: stored("tscAux", 0xffffffffn),
};

const FIXED_MTRRS = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const MTRRS = new Map(
  [...Array.from({ length: 16 }, (_, i) => 0x200 + i), ...FIXED_MTRRS].map((i) => [i, mtrr(i)]),
);

function find(index: number): Msr | undefined {
  return registers[index] ?? MTRRS.get(index);
}

const isX2apic = (index: number): boolean => index >= 0x800 && index <= 0x8ff;

/** Reads an MSR; #GP for one that does not exist. */
export function readMsr(cpu: Core, index: number): bigint {
  if (isX2apic(index) && cpu.apic.x2apic) {
    return cpu.apic.readMsr(index - 0x800) ?? raise(Vector.GeneralProtection, 0);
  }
  const msr = find(index);
  return msr === undefined ? raise(Vector.GeneralProtection, 0) : msr.read(cpu);
}

/** Writes an MSR; #GP for one that does not exist or for a value it does not take. */
export function writeMsr(cpu: Core, index: number, value: bigint): void {
  if (isX2apic(index) && cpu.apic.x2apic) {
    if (!cpu.apic.writeMsr(index - 0x800, value)) raise(Vector.GeneralProtection, 0);
    return;
  }
  const msr = find(index);
  if (msr?.write === undefined) raise(Vector.GeneralProtection, 0);
  else msr.write(cpu, value);
}

const indexOf = (cpu: Core): number =>
  Number((cpu.registers[Register.Rcx] as bigint) & 0xffffffffn);

/** RDMSR and WRMSR. */
export const msrHelpers: Helpers = {
  rdmsr(cpu) {
    const value = readMsr(cpu, indexOf(cpu));
    cpu.registers[Register.Rax] = value & 0xffffffffn;
    cpu.registers[Register.Rdx] = value >> 32n;
  },
  wrmsr(cpu, op: MicroOp) {
    const low = (cpu.registers[Register.Rax] as bigint) & 0xffffffffn;
    const high = (cpu.registers[Register.Rdx] as bigint) & 0xffffffffn;
    writeMsr(cpu, indexOf(cpu), (high << 32n) | low);
    resume(cpu, op);
    return cpu.changedInterruptFlag();
  },
};
