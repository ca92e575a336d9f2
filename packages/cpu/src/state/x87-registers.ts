import type { X87Registers } from "../x87/registers.ts";
import { State } from "./layout.ts";

/** The x87's registers where generated code and save/restore find them: in the vCPU's state. */
export class StateX87Registers implements X87Registers {
  readonly registers: BigUint64Array;
  readonly #view: DataView;
  readonly #state: number;

  constructor(view: DataView, state: number) {
    this.#view = view;
    this.#state = state;
    this.registers = new BigUint64Array(view.buffer, state + State.Fpu, 16);
  }

  get controlWord(): number {
    return this.#read(State.FpuControl);
  }

  set controlWord(value: number) {
    this.#write(State.FpuControl, value);
  }

  get statusWord(): number {
    return this.#read(State.FpuStatus);
  }

  set statusWord(value: number) {
    this.#write(State.FpuStatus, value);
  }

  get tags(): number {
    return this.#read(State.FpuTag);
  }

  set tags(value: number) {
    this.#write(State.FpuTag, value);
  }

  get opcode(): number {
    return this.#read(State.FpuOpcode);
  }

  set opcode(value: number) {
    this.#write(State.FpuOpcode, value);
  }

  get codeSelector(): number {
    return this.#read(State.FpuCs);
  }

  set codeSelector(value: number) {
    this.#write(State.FpuCs, value);
  }

  get dataSelector(): number {
    return this.#read(State.FpuDs);
  }

  set dataSelector(value: number) {
    this.#write(State.FpuDs, value);
  }

  get instructionPointer(): bigint {
    return this.#view.getBigUint64(this.#state + State.FpuIp, true);
  }

  set instructionPointer(value: bigint) {
    this.#view.setBigUint64(this.#state + State.FpuIp, BigInt.asUintN(64, value), true);
  }

  get dataPointer(): bigint {
    return this.#view.getBigUint64(this.#state + State.FpuDp, true);
  }

  set dataPointer(value: bigint) {
    this.#view.setBigUint64(this.#state + State.FpuDp, BigInt.asUintN(64, value), true);
  }

  #read(offset: number): number {
    return this.#view.getUint16(this.#state + offset, true);
  }

  #write(offset: number, value: number): void {
    this.#view.setUint16(this.#state + offset, value, true);
  }
}
