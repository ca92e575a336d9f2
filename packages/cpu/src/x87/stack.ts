/** The register stack: relative addressing, stack faults, and the end of an instruction (SDM vol. 1, 8.1.2 and 8.5.1). */
import { F80 } from "../float/format.ts";
import { Exception, PRE_COMPUTATION, createFloatStatus, loadControlWord } from "../float/status.ts";
import type { FloatStatus } from "../float/status.ts";
import { Status, summarize } from "./registers.ts";
import type { X87Registers } from "./registers.ts";

/** The x87 stack over its registers, and the {@link FloatStatus} of the instruction under way. */
export class RegisterStack {
  readonly registers: X87Registers;
  readonly float: FloatStatus = createFloatStatus();

  constructor(registers: X87Registers) {
    this.registers = registers;
  }

  /** Starts an arithmetic instruction: C1 clear, rounding and masks from the control word. */
  begin(): void {
    loadControlWord(this.float, this.registers.controlWord);
    this.registers.statusWord &= ~Status.c1;
  }

  /** As {@link begin} for FCMOVcc and FCOMI, which touch C1 only in a stack fault. */
  beginKeepingC1(): void {
    loadControlWord(this.float, this.registers.controlWord);
  }

  get top(): number {
    return (this.registers.statusWord >> 11) & 7;
  }

  set top(value: number) {
    this.registers.statusWord = (this.registers.statusWord & ~Status.top) | ((value & 7) << 11);
  }

  isEmpty(index: number): boolean {
    return (this.registers.tags & (1 << ((this.top + index) & 7))) === 0;
  }

  get(index: number): F80 {
    const at = 2 * ((this.top + index) & 7);
    const { registers } = this.registers;
    return {
      significand: registers[at] ?? 0n,
      signExponent: Number(registers[at + 1] ?? 0n) & 0xffff,
    };
  }

  /** Writes ST(index) and tags it not empty. */
  set(index: number, value: F80): void {
    const physical = (this.top + index) & 7;
    const { registers } = this.registers;
    registers[2 * physical] = value.significand;
    registers[2 * physical + 1] = BigInt(value.signExponent);
    this.registers.tags |= 1 << physical;
  }

  free(index: number): void {
    this.registers.tags &= ~(1 << ((this.top + index) & 7));
  }

  push(value: F80): void {
    this.top--;
    this.set(0, value);
  }

  pop(): void {
    this.free(0);
    this.top++;
  }

  /** Sets C3, C2 and C0 and leaves C1. */
  setCodes(codes: number): void {
    const mask = Status.c0 | Status.c2 | Status.c3;
    this.registers.statusWord = (this.registers.statusWord & ~mask) | codes;
  }

  /** Raises a stack fault; true when it is masked, so that the indefinite value takes the result's place. */
  fault(overflow: boolean): boolean {
    this.float.flags |= Exception.invalid;
    this.float.roundedUp = overflow;
    this.registers.statusWord = (this.registers.statusWord & ~Status.c1) | Status.stackFault;
    return (this.float.masks & Exception.invalid) !== 0;
  }

  /** An unmasked exception forbids any result. */
  get suppressed(): boolean {
    return (this.float.flags & ~this.float.masks & PRE_COMPUTATION) !== 0;
  }

  /** An unmasked exception forbids a result in memory; the adjusted one of overflow and underflow exists in registers only. */
  get storeSuppressed(): boolean {
    const exceptions = PRE_COMPUTATION | Exception.overflow | Exception.underflow;
    return (this.float.flags & ~this.float.masks & exceptions) !== 0;
  }

  /** Ends an instruction: reports what was raised. */
  end(): void {
    const { registers } = this;
    let word = registers.statusWord | this.float.flags;
    if (this.float.roundedUp) word |= Status.c1;
    registers.statusWord = summarize(word, registers.controlWord);
  }

  /** Pushes the value `load` makes, unless the stack overflows. */
  loadAndPush(load: (float: FloatStatus) => F80): void {
    if (!this.isEmpty(7)) {
      if (this.fault(true)) this.push(F80.indefinite);
      return;
    }
    const value = load(this.float);
    if ((this.float.flags & ~this.float.masks & Exception.invalid) === 0) this.push(value);
  }
}
