import type { Core } from "../core.ts";
import { cpuError } from "../errors.ts";
import type { MsrFile } from "../msr-file.ts";
import { setSegment } from "../system/descriptors.ts";
import { loadLegacyArea, storeLegacyArea } from "../x87/environment.ts";
import { Segment, SegmentField, State } from "./layout.ts";
import { SEGMENT_NAMES, checkVcpuState } from "./vcpu-state.ts";
import type { Activity, SegmentRegisterState, VcpuState } from "./vcpu-state.ts";

const SEGMENTS = [
  Segment.Es,
  Segment.Cs,
  Segment.Ss,
  Segment.Ds,
  Segment.Fs,
  Segment.Gs,
  Segment.Ldtr,
  Segment.Tr,
] as const;
const DEBUG_REGISTERS = [0, 1, 2, 3, 6, 7] as const;

/** The stored MSRs by number; those that live elsewhere (EFER, segment bases, the APIC's) are saved there. */
const MSRS = {
  0x1b: "apicBase",
  0x3b: "tscAdjust",
  0x48: "specCtrl",
  0x174: "sysenterCs",
  0x175: "sysenterEsp",
  0x176: "sysenterEip",
  0x1a0: "miscEnable",
  0x277: "pat",
  0x2ff: "mtrrDefaultType",
  0xda0: "xss",
  0x4b564d00: "kvmWallClock",
  0x4b564d01: "kvmSystemTime",
  0xc0000081: "star",
  0xc0000082: "lstar",
  0xc0000083: "cstar",
  0xc0000084: "fmask",
  0xc0000102: "kernelGsBase",
  0xc0000103: "tscAux",
} as const satisfies Readonly<Record<number, keyof MsrFile>>;

const FX = { opcode: 6, instruction: 8, data: 16, mxcsr: 24, mxcsrMask: 28, xmm: 160 } as const;
const MXCSR_MASK = 0xffff;
const XMM_BYTES = 256;

/**
 * The architectural state of a processor that is not running. It forgets its translations, as a restored one has
 * none: from here on both set the same accessed and dirty bits.
 */
export function saveVcpu(cpu: Core): VcpuState {
  cpu.linear.tlb.flush(false);
  const segments = SEGMENT_NAMES.map((name, i) => [name, saveSegment(cpu, SEGMENTS[i] as number)]);
  const { pointers } = cpu.linear.paging;
  const half = (i: number): bigint => BigInt((pointers[i] ?? 0) >>> 0);
  return {
    version: 1,
    id: cpu.id,
    activity: activityOf(cpu),
    instructions: cpu.instructions,
    registers: [...cpu.registers],
    rip: cpu.rip,
    rflags: cpu.flags >>> 0,
    cpl: cpu.cpl,
    segments: Object.fromEntries(segments) as VcpuState["segments"],
    gdtr: { base: cpu.u64(State.Gdtr), limit: cpu.u32(State.Gdtr + 8) },
    idtr: { base: cpu.u64(State.Idtr), limit: cpu.u32(State.Idtr + 8) },
    cr0: cpu.u64(State.Cr0),
    cr2: cpu.u64(State.Cr2),
    cr3: cpu.u64(State.Cr3),
    cr4: cpu.u64(State.Cr4),
    efer: cpu.u64(State.Efer),
    xcr0: cpu.u64(State.Xcr0),
    pdptrs: [0, 1, 2, 3].map((i) => (half(2 * i + 1) << 32n) | half(2 * i)),
    debug: DEBUG_REGISTERS.map((i) => cpu.u64(State.DebugRegisters + i * 8)),
    fxsave: saveFx(cpu),
    tsc: cpu.tsc,
    msrs: saveMsrs(cpu),
    interruptShadow: cpu.shadow,
    nmiPending: cpu.nmiPending,
    nmiBlocked: cpu.nmiBlocked,
    apic: cpu.apic.save(),
  };
}

/**
 * Puts a saved state into a processor of the same number. Guest memory and clock must be those of the
 * state already: the time-stamp counter goes on from its value, the timers are armed.
 * @throws QZ_CPU_STATE for a state that is not one of this processor; it is to be thrown away then.
 */
export function restoreVcpu(cpu: Core, state: VcpuState): void {
  checkVcpuState(state);
  if (state.id !== cpu.id) {
    throw cpuError("QZ_CPU_STATE", { reason: `it is processor ${state.id}, this is ${cpu.id}` });
  }
  cpu.reset();
  cpu.instructions = state.instructions;
  cpu.halted = state.activity === "halted";
  cpu.waitingForStartup = state.activity === "startup";
  cpu.shutdown = state.activity === "shutdown";
  cpu.shadow = state.interruptShadow;
  cpu.nmiPending = state.nmiPending;
  cpu.nmiBlocked = state.nmiBlocked;
  cpu.registers.set(state.registers);
  cpu.rip = state.rip;
  cpu.flags = state.rflags | 0;
  cpu.setU32(State.Cpl, state.cpl);
  SEGMENT_NAMES.forEach((name, i) => {
    const { selector, base, limit, attributes } = state.segments[name];
    const compact = (attributes & 0xff) | (((attributes >> 12) & 15) << 8);
    setSegment(cpu, SEGMENTS[i] as number, selector, base, limit, compact);
  });
  for (const [at, table] of [
    [State.Gdtr, state.gdtr],
    [State.Idtr, state.idtr],
  ] as const) {
    cpu.setU64(at, table.base);
    cpu.setU32(at + 8, table.limit);
  }
  cpu.setU64(State.Cr0, state.cr0);
  cpu.setU64(State.Cr2, state.cr2);
  cpu.setU64(State.Cr3, state.cr3);
  cpu.setU64(State.Cr4, state.cr4);
  cpu.setU64(State.Efer, state.efer);
  cpu.setU64(State.Xcr0, state.xcr0);
  cpu.linear.paging.pointers = state.pdptrs.flatMap((entry) => [
    Number(entry & 0xffffffffn) | 0,
    Number(entry >> 32n) | 0,
  ]);
  DEBUG_REGISTERS.forEach((register, i) =>
    cpu.setU64(State.DebugRegisters + register * 8, state.debug[i] ?? 0n),
  );
  restoreFx(cpu, state.fxsave);
  restoreMsrs(cpu, state.msrs);
  // The counter shows guest time and an offset: choose the offset that makes it the saved value now.
  cpu.msr.tscOffset = BigInt.asUintN(64, cpu.msr.tscOffset + state.tsc - cpu.tsc);
  cpu.apic.setMode((cpu.msr.apicBase & 0x800n) !== 0n, (cpu.msr.apicBase & 0x400n) !== 0n);
  cpu.apic.restore(state.apic);
  cpu.debugChanged();
  cpu.linear.tlb.flush(false);
  cpu.sync();
  cpu.wake();
}

function activityOf(cpu: Core): Activity {
  if (cpu.shutdown) return "shutdown";
  if (cpu.waitingForStartup) return "startup";
  return cpu.halted ? "halted" : "running";
}

function saveSegment(cpu: Core, segment: number): SegmentRegisterState {
  const at = (field: number): number => cpu.segmentAt(segment, field);
  const compact = cpu.u32(at(SegmentField.Attributes));
  return {
    selector: cpu.u32(at(SegmentField.Selector)),
    base: cpu.u64(at(SegmentField.Base)),
    limit: cpu.u32(at(SegmentField.Limit)),
    attributes: (compact & 0xff) | ((compact & 0xf00) << 4),
  };
}

function saveFx(cpu: Core): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  const { registers } = cpu.x87;
  storeLegacyArea(registers, view, { wide: true });
  view.setUint16(FX.opcode, registers.opcode, true);
  view.setBigUint64(FX.instruction, registers.instructionPointer, true);
  view.setBigUint64(FX.data, registers.dataPointer, true);
  view.setUint32(FX.mxcsr, cpu.u32(State.Mxcsr), true);
  view.setUint32(FX.mxcsrMask, MXCSR_MASK, true);
  const at = cpu.state + State.Xmm;
  image.set(cpu.board.memory.arena.bytes.subarray(at, at + XMM_BYTES), FX.xmm);
  return image;
}

function restoreFx(cpu: Core, image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  loadLegacyArea(cpu.x87.registers, view, { wide: true });
  cpu.setU32(State.Mxcsr, view.getUint32(FX.mxcsr, true) & MXCSR_MASK);
  cpu.board.memory.arena.bytes.set(
    image.subarray(FX.xmm, FX.xmm + XMM_BYTES),
    cpu.state + State.Xmm,
  );
}

function saveMsrs(cpu: Core): Record<string, bigint> {
  const msrs: Record<string, bigint> = {};
  for (const [index, field] of Object.entries(MSRS))
    msrs[Number(index).toString(16)] = cpu.msr[field];
  for (const [index, value] of cpu.msr.mtrr) msrs[index.toString(16)] = value;
  return msrs;
}

function restoreMsrs(cpu: Core, msrs: Readonly<Record<string, bigint>>): void {
  const fields: Readonly<Record<number, keyof MsrFile & (typeof MSRS)[keyof typeof MSRS]>> = MSRS;
  for (const [key, value] of Object.entries(msrs)) {
    const index = Number.parseInt(key, 16);
    const field = fields[index];
    if (field !== undefined) cpu.msr[field] = value;
    else if (index >= 0x200 && index <= 0x26f) cpu.msr.mtrr.set(index, value);
    else throw cpuError("QZ_CPU_STATE", { reason: `it has an MSR ${key} that is not known here` });
  }
}
