import type { Core } from "../core.ts";
import { Flag, Register, Segment, State } from "../state/layout.ts";
import { setSegment } from "./descriptors.ts";

/** A segment register as a boot loader describes it: descriptor bits 40–47 at 0–7 and 52–55 at 12–15 (as in VMX). */
export interface BootSegment {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

/** The state in which a boot loader hands a machine to its kernel; everything else is as after reset. */
export interface ProcessorBootState {
  readonly registers: {
    readonly rip: number;
    readonly rax?: number;
    readonly rbx?: number;
    readonly rsi?: number;
    readonly rsp?: number;
  };
  readonly rflags: number;
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  readonly cs: BootSegment;
  /** For SS, DS, ES, FS and GS. */
  readonly data: BootSegment;
  readonly tr: BootSegment;
  readonly gdt: { readonly base: number; readonly limit: number };
  readonly idt: { readonly base: number; readonly limit: number };
}

/** Resets a processor and puts it into a boot loader's state. */
export function applyBootState(cpu: Core, state: ProcessorBootState): void {
  cpu.reset();
  cpu.waitingForStartup = false;
  cpu.apic.enterVirtualWireMode();
  const { registers } = state;
  cpu.registers[Register.Rdx] = 0n;
  cpu.registers[Register.Rax] = BigInt(registers.rax ?? 0);
  cpu.registers[Register.Rbx] = BigInt(registers.rbx ?? 0);
  cpu.registers[Register.Rsi] = BigInt(registers.rsi ?? 0);
  cpu.registers[Register.Rsp] = BigInt(registers.rsp ?? 0);
  cpu.rip = BigInt(registers.rip);
  cpu.flags = state.rflags | Flag.Fixed;
  cpu.setU64(State.Cr0, BigInt(state.cr0 >>> 0));
  cpu.setU64(State.Cr3, BigInt(state.cr3));
  cpu.setU64(State.Cr4, BigInt(state.cr4));
  cpu.setU64(State.Efer, BigInt(state.efer));
  const segment = (number: number, { selector, base, limit, attributes }: BootSegment): void => {
    const compact = (attributes & 0xff) | (((attributes >> 12) & 15) << 8);
    setSegment(cpu, number, selector, BigInt(base), limit, compact);
  };
  segment(Segment.Cs, state.cs);
  for (const number of [Segment.Ss, Segment.Ds, Segment.Es, Segment.Fs, Segment.Gs]) {
    segment(number, state.data);
  }
  segment(Segment.Tr, state.tr);
  cpu.setU64(State.Gdtr, BigInt(state.gdt.base));
  cpu.setU32(State.Gdtr + 8, state.gdt.limit);
  cpu.setU64(State.Idtr, BigInt(state.idt.base));
  cpu.setU32(State.Idtr + 8, state.idt.limit);
  cpu.linear.tlb.flush(false);
  cpu.sync();
}
