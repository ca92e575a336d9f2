import { GuestMemory } from "@queztl/memory";
import { Vector } from "../../src/execute/guest-fault.ts";
import { Segment, SegmentField, State } from "../../src/state/layout.ts";
import { RunStatus } from "../../src/state/status.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../../src/vcpu.ts";
import { Field, Fxsave, STATUS, WINDOW, WINDOW_BYTES } from "./layout.ts";

const CODE = 0x1000;

/** Signals by the vector that Linux makes them from. */
const SIGNALS: Readonly<Record<number, number>> = {
  [Vector.InvalidOpcode]: 4,
  [Vector.GeneralProtection]: 11,
  [Vector.PageFault]: 11,
  [Vector.MathFault]: 8,
  [Vector.SimdFault]: 8,
};

/** The emulated processor, executing the harness's records. */
export class Guest {
  readonly cpu: Vcpu;
  readonly #memory: GuestMemory;

  constructor() {
    this.#memory = new GuestMemory({
      ramBytes: 4 << 20,
      arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES,
    });
    this.cpu = new Vcpu(createBoard(this.#memory));
    const { cpu } = this;
    // 64-bit mode without translation; OSFXSR and OSXMMEXCPT.
    cpu.setU32(State.Cr0, 0x33);
    cpu.setU32(State.Cr4, 0x600);
    cpu.setU32(State.Efer, 0x500);
    cpu.setU32(cpu.segmentAt(Segment.Cs, SegmentField.Attributes), 0x29b);
    cpu.sync();
  }

  /** Executes a record and replaces it by the state after. */
  run(record: Uint8Array): void {
    const { cpu } = this;
    const memory = this.#memory;
    const view = new DataView(record.buffer, record.byteOffset, record.length);
    const length = view.getUint8(Field.Length);
    memory.writeBytes(CODE, record.subarray(Field.Code, Field.Code + length));
    memory.writeBytes(WINDOW, record.subarray(Field.Memory, Field.Memory + WINDOW_BYTES));
    cpu.flags = Number(view.getBigUint64(Field.Flags, true)) | 2;
    for (let i = 0; i < 16; i++) {
      cpu.registers[i] = view.getBigUint64(Field.Registers + 8 * i, true);
    }
    this.#loadVectors(view, record);
    cpu.rip = BigInt(CODE);
    const status = cpu.runSlice(1);
    const fault = status === RunStatus.Fault;
    const vector = cpu.u32(State.FaultVector);
    record[Field.Fault] = fault ? (SIGNALS[vector] ?? 0xff) : 0;
    // Somewhere else is no outcome that the host has.
    if (cpu.rip !== BigInt(fault ? CODE : CODE + length)) record[Field.Fault] = 0xfe;
    view.setBigUint64(Field.Flags, BigInt(cpu.flags) & STATUS, true);
    for (let i = 0; i < 16; i++) {
      view.setBigUint64(Field.Registers + 8 * i, cpu.registers[i] as bigint, true);
    }
    this.#saveVectors(view, record);
    record.set(memory.readBytes(WINDOW, WINDOW_BYTES), Field.Memory);
  }

  #loadVectors(view: DataView, record: Uint8Array): void {
    const { cpu } = this;
    const at = Field.Vectors;
    const bytes = new Uint8Array(cpu.view.buffer);
    bytes.set(record.subarray(at + Fxsave.Xmm, at + Fxsave.Xmm + 256), cpu.state + State.Xmm);
    const { registers } = cpu.x87;
    registers.controlWord = view.getUint16(at + Fxsave.Control, true);
    registers.statusWord = view.getUint16(at + Fxsave.Status, true);
    registers.tags = view.getUint8(at + Fxsave.Tags);
    for (let i = 0; i < 16; i++) {
      registers.registers[i] = view.getBigUint64(at + Fxsave.St + 8 * i, true);
    }
    cpu.setU32(State.Mxcsr, view.getUint32(at + Fxsave.Mxcsr, true));
  }

  #saveVectors(view: DataView, record: Uint8Array): void {
    const { cpu } = this;
    const at = Field.Vectors;
    const bytes = new Uint8Array(cpu.view.buffer);
    record.set(bytes.subarray(cpu.state + State.Xmm, cpu.state + State.Xmm + 256), at + Fxsave.Xmm);
    const { registers } = cpu.x87;
    view.setUint16(at + Fxsave.Status, registers.statusWord, true);
    view.setUint8(at + Fxsave.Tags, registers.tags);
    for (let i = 0; i < 16; i++) {
      view.setBigUint64(at + Fxsave.St + 8 * i, registers.registers[i] as bigint, true);
    }
    view.setUint32(at + Fxsave.Mxcsr, cpu.u32(State.Mxcsr), true);
  }
}
