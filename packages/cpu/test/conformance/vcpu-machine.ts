import { GuestMemory, SeededEntropy, VirtualClock, createPortBus } from "@queztl/memory";
import type { Entropy } from "@queztl/memory";
import { Segment, State } from "../../src/state/layout.ts";
import { setSegment } from "../../src/system/descriptors.ts";
import { readMsr, writeMsr } from "../../src/system/msr.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../../src/vcpu.ts";
import type { Machine, ProcessorState, RunEnd, SegmentName } from "./machine.ts";

const SEGMENTS: Readonly<Record<SegmentName, number>> = {
  es: Segment.Es,
  cs: Segment.Cs,
  ss: Segment.Ss,
  ds: Segment.Ds,
  fs: Segment.Fs,
  gs: Segment.Gs,
  ldtr: Segment.Ldtr,
  tr: Segment.Tr,
};

/** The emulated processor as the cases want it. */
export class VcpuMachine implements Machine {
  readonly memory: GuestMemory;
  readonly clock = new VirtualClock();
  readonly processors: Vcpu[];
  readonly portWrites: (readonly [number, number, number])[] = [];

  /** @param wide on a memory with 64-bit addresses, which large guests have. */
  constructor(
    processors = 2,
    entropy: Entropy = new SeededEntropy(1),
    tier: 0 | "auto" | "eager" = 0,
    wide = false,
  ) {
    const arenaBytes = CODE_ARENA_BYTES + processors * VCPU_ARENA_BYTES;
    this.memory = new GuestMemory({ ramBytes: 8 << 20, arenaBytes, wide });
    const ports = createPortBus();
    ports.claim(0, 0x10000, "all ports", {
      read: (_, size) => 0x5a5a5a5a >>> (32 - size * 8),
      write: (port, size, value) => void this.portWrites.push([port, size, value]),
    });
    const board = createBoard(this.memory, ports, undefined, { tier });
    this.processors = Array.from({ length: processors }, (_, id) => {
      return new Vcpu(board, { id, clock: this.clock, entropy, features: { processors } });
    });
  }

  #cpu(processor: number): Vcpu {
    return this.processors[processor] as Vcpu;
  }

  read(address: number, length: number): Uint8Array {
    return this.memory.readBytes(address, length);
  }

  write(address: number, bytes: Uint8Array): void {
    this.memory.writeBytes(address, bytes);
  }

  setState(processor: number, state: ProcessorState): void {
    const cpu = this.#cpu(processor);
    cpu.reset();
    cpu.waitingForStartup = false;
    state.registers.forEach((value, i) => (cpu.registers[i] = value));
    cpu.rip = state.rip;
    cpu.flags = state.rflags;
    for (const name of Object.keys(SEGMENTS) as SegmentName[]) {
      const { selector, base, limit, attributes } = state.segments[name];
      setSegment(cpu, SEGMENTS[name], selector, base, limit, attributes);
    }
    cpu.setU64(State.Gdtr, state.gdtr.base);
    cpu.setU32(State.Gdtr + 8, state.gdtr.limit);
    cpu.setU64(State.Idtr, state.idtr.base);
    cpu.setU32(State.Idtr + 8, state.idtr.limit);
    // CPL is the privilege of SS, but in virtual-8086 mode.
    const virtual = (state.rflags & 0x20000) !== 0;
    cpu.setU32(State.Cpl, virtual ? 3 : (state.segments.ss.attributes >> 5) & 3);
    cpu.setU64(State.Cr0, BigInt(state.cr0 >>> 0));
    cpu.setU64(State.Cr2, state.cr2);
    cpu.setU64(State.Cr3, state.cr3);
    cpu.setU64(State.Cr4, BigInt(state.cr4));
    cpu.setU64(State.Efer, BigInt(state.efer));
    cpu.taskPriority = state.cr8 << 4;
    state.debug.forEach((value, i) => cpu.setU64(State.DebugRegisters + i * 8, value));
    for (const [index, value] of Object.entries(state.msrs)) writeMsr(cpu, Number(index), value);
    cpu.sync();
    if (state.cr0 >>> 31 === 1 && (state.cr4 & 0x20) !== 0 && (state.efer & 0x400) === 0) {
      const pointers = new DataView(this.read(Number(state.cr3), 32).buffer);
      cpu.linear.paging.pointers = Array.from({ length: 8 }, (_, i) =>
        pointers.getInt32(i * 4, true),
      );
    }
    cpu.linear.tlb.flush(false);
    cpu.debugChanged();
    cpu.sync();
  }

  getState(processor: number): ProcessorState {
    const cpu = this.#cpu(processor);
    const segment = (number: number): ProcessorState["segments"]["cs"] => ({
      selector: cpu.u32(cpu.segmentAt(number, 12)),
      base: cpu.u64(cpu.segmentAt(number, 0)),
      limit: cpu.u32(cpu.segmentAt(number, 8)),
      attributes: cpu.u32(cpu.segmentAt(number, 16)),
    });
    const segments = Object.fromEntries(
      Object.entries(SEGMENTS).map(([name, number]) => [name, segment(number)]),
    ) as ProcessorState["segments"];
    const table = (at: number): { base: bigint; limit: number } => ({
      base: cpu.u64(at),
      limit: cpu.u32(at + 8),
    });
    return {
      registers: Array.from(cpu.registers),
      rip: cpu.rip,
      rflags: cpu.flags,
      segments,
      gdtr: table(State.Gdtr),
      idtr: table(State.Idtr),
      cr0: cpu.u32(State.Cr0),
      cr2: cpu.u64(State.Cr2),
      cr3: cpu.u64(State.Cr3),
      cr4: cpu.u32(State.Cr4),
      cr8: cpu.taskPriority >> 4,
      efer: cpu.u32(State.Efer),
      debug: Array.from({ length: 8 }, (_, i) => cpu.u64(State.DebugRegisters + i * 8)),
      msrs: { 0x1b: readMsr(cpu, 0x1b), 0xc0000102: readMsr(cpu, 0xc0000102) },
    };
  }

  run(processor: number, instructions: number): RunEnd {
    const cpu = this.#cpu(processor);
    const end = cpu.instructions + instructions;
    for (;;) {
      const exit = cpu.run(end - cpu.instructions);
      if (exit === "halt" || exit === "shutdown" || exit === "budget" || exit === "wait")
        return exit;
    }
  }

  pass(ns: number): void {
    this.clock.advanceTo(this.clock.nowNs() + ns);
  }

  nmi(processor: number): void {
    const cpu = this.#cpu(processor);
    cpu.nmiPending = true;
    cpu.wake();
  }

  interrupt(processor: number, vector: number): void {
    this.#cpu(processor).apic.accept({
      vector,
      deliveryMode: 0,
      destination: processor,
      destinationMode: "physical",
      level: true,
      trigger: "edge",
    });
  }
}
