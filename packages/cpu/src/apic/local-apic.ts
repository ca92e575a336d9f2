import type { Clock, Snapshottable } from "@queztl/memory";
import { ApicRegisters, LVT_MASKS, MASKED, Register } from "./apic-registers.ts";
import { ApicTimer } from "./apic-timer.ts";
import { DeliveryMode } from "./interrupt-message.ts";
import type { ApicMessage } from "./interrupt-message.ts";
import { checkLocalApicState } from "./local-apic-state.ts";
import type { LocalApicState } from "./local-apic-state.ts";
import { VectorSet } from "./vector-set.ts";

const VERSION = 0x50014;
const SEND_ILLEGAL_VECTOR = 0x20;
const RECEIVE_ILLEGAL_VECTOR = 0x40;
const ILLEGAL_REGISTER = 0x80;

/** By offset. What x2APIC MSRs of them take, beside those of vector sets (Intel SDM vol. 3, 11.12.1.2). */
const KNOWN: ReadonlySet<number> = new Set(Object.values(Register));
const READ_ONLY: ReadonlySet<number> = new Set([
  Register.Id,
  Register.Version,
  Register.ProcessorPriority,
  Register.LogicalDestination,
  Register.DestinationFormat,
  Register.CommandHigh,
  Register.CurrentCount,
]);
const WRITE_ONLY: ReadonlySet<number> = new Set([
  Register.Eoi,
  Register.SelfIpi,
  Register.CommandHigh,
]);
const ZERO_ONLY: ReadonlySet<number> = new Set([Register.Eoi, Register.ErrorStatus]);

/** What a local APIC needs of its processor and of the others. */
export interface LocalApicHost {
  readonly id: number;
  readonly clock: Clock;
  /** Frequency of the timer's clock before its divider, in Hz. */
  readonly timerHz: number;
  /** Sends a message to all local APICs but where the shorthand says otherwise. */
  send(message: ApicMessage, shorthand: "none" | "self" | "all" | "others"): void;
  /** An end of interrupt for a level-triggered vector: the IOAPIC wants to know. */
  endOfInterrupt(vector: number): void;
  nmi(): void;
  init(): void;
  startup(page: number): void;
  /** The time-stamp counter, and guest time at which it reaches a value. */
  tsc(): bigint;
  tscDeadlineNs(value: bigint): number;
  /** Something became pending or changed priority: the processor looks at once. */
  wake(): void;
}

/** A processor's local APIC, xAPIC and x2APIC, with its timer (Intel SDM vol. 3, 11). */
export class LocalApic implements Snapshottable<LocalApicState> {
  readonly #host: LocalApicHost;
  readonly #request = new VectorSet();
  readonly #service = new VectorSet();
  readonly #triggerMode = new VectorSet();
  readonly #registers = new ApicRegisters();
  readonly #timer: ApicTimer;
  #enabled = true;
  #x2apic = false;
  #lint0 = false;
  #errors = 0;

  constructor(host: LocalApicHost) {
    this.#host = host;
    this.#timer = new ApicTimer(this.#registers, {
      clock: host.clock,
      timerHz: host.timerHz,
      tscDeadlineNs: (value) => host.tscDeadlineNs(value),
      fire: () => this.#local(Register.LvtTimer),
    });
    this.reset();
  }

  /** The state after power-up or INIT; the enable and mode bits are APIC_BASE's. */
  reset(): void {
    this.#request.words.fill(0);
    this.#service.words.fill(0);
    this.#triggerMode.words.fill(0);
    this.#registers.reset();
    this.#timer.reset();
    this.#errors = 0;
  }

  /**
   * As firmware leaves the boot processor's: enabled, the PIC's INTR coming in at LINT0 and NMI at LINT1 (Intel
   * MultiProcessor Specification 1.4, 3.6.2.2). A kernel that does not use the APIC counts on it.
   */
  enterVirtualWireMode(): void {
    this.#registers.set(Register.Spurious, 0x1ff);
    this.#registers.set(Register.LvtLint0, DeliveryMode.External << 8);
    this.#registers.set(Register.LvtLint1, DeliveryMode.Nmi << 8);
  }

  /** Follows IA32_APIC_BASE bits 11 (enable) and 10 (x2APIC). */
  setMode(enabled: boolean, x2apic: boolean): void {
    if (!enabled && this.#enabled) this.reset();
    this.#enabled = enabled;
    this.#x2apic = enabled && x2apic;
  }

  get x2apic(): boolean {
    return this.#x2apic;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** The task priority, for CR8. */
  get taskPriority(): number {
    return this.#registers.get(Register.TaskPriority);
  }

  set taskPriority(value: number) {
    this.#registers.set(Register.TaskPriority, value & 0xff);
    this.#host.wake();
  }

  /** The vector to deliver now: pending and above the processor's priority; −1 if none. */
  pending(): number {
    if (!this.#enabled) return -1;
    const vector = this.#request.highest();
    return vector >= 0 && vector >> 4 > this.#priority() >> 4 ? vector : -1;
  }

  /** Whether the PIC's INTR reaches the processor: through LINT0 as ExtINT, or past a disabled APIC. */
  get acceptsExternal(): boolean {
    if (!this.#enabled) return true;
    const lint0 = this.#registers.get(Register.LvtLint0);
    return (lint0 & MASKED) === 0 && ((lint0 >> 8) & 7) === DeliveryMode.External;
  }

  /** The processor takes the vector that `pending` gave. */
  acknowledge(vector: number): void {
    this.#request.delete(vector);
    this.#service.add(vector);
  }

  /** Level of the LINT0 pin, which the PIC drives. Modes other than ExtINT are edges of a fixed vector or NMI. */
  setLint0(asserted: boolean): void {
    const rising = asserted && !this.#lint0;
    this.#lint0 = asserted;
    if (rising && this.#enabled) this.#local(Register.LvtLint0);
    this.#host.wake();
  }

  /** Whether a message is meant for this processor. */
  matches(message: ApicMessage): boolean {
    const { destination, destinationMode } = message;
    const { id } = this.#host;
    if (destinationMode === "physical") {
      return destination === id || destination === 0xff || destination === 0xffffffff;
    }
    if (this.#x2apic) {
      if (destination === 0xffffffff) return true;
      const logical = this.#x2apicLogicalId();
      return destination >>> 16 === logical >>> 16 && (destination & logical & 0xffff) !== 0;
    }
    const logical = this.#registers.get(Register.LogicalDestination) >>> 24;
    if (destination === 0xff) return true;
    // Flat model: a bit each; cluster model: four bits of cluster, a bit each inside it.
    if (this.#registers.get(Register.DestinationFormat) >>> 28 === 0xf)
      return (destination & logical) !== 0;
    return destination >> 4 === logical >> 4 && (destination & logical & 15) !== 0;
  }

  /** Takes a message that is meant for this processor. @returns whether it was taken. */
  accept(message: ApicMessage): boolean {
    switch (message.deliveryMode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.LowestPriority:
        return this.#raise(message.vector, message.trigger === "level");
      case DeliveryMode.Nmi:
        this.#host.nmi();
        return true;
      case DeliveryMode.Init:
        // The de-assert form of INIT only synchronises arbitration ids of old processors.
        if (message.level || message.trigger === "edge") this.#host.init();
        return true;
      case DeliveryMode.Startup:
        this.#host.startup(message.vector);
        return true;
      default:
        return false;
    }
  }

  /** Reads the xAPIC page. */
  read(offset: number): number {
    if (this.#x2apic || (offset & 15) !== 0) return 0;
    return this.#read(offset);
  }

  write(offset: number, value: number): void {
    if (this.#x2apic || (offset & 15) !== 0) return;
    if (offset === Register.CommandLow) {
      this.#registers.set(Register.CommandLow, value & 0xcdfff);
      this.#send(value, this.#registers.get(Register.CommandHigh) >>> 24);
    } else if (offset === Register.CommandHigh) this.#registers.set(offset, value & 0xff000000);
    else if (offset === Register.SelfIpi) this.#error(ILLEGAL_REGISTER);
    else this.#write(offset, value);
  }

  /** Reads an x2APIC MSR by its number less 0x800; undefined raises #GP. */
  readMsr(index: number): bigint | undefined {
    const offset = index << 4;
    if (offset === Register.CommandLow) {
      const high = BigInt(this.#registers.get(Register.CommandHigh) >>> 0);
      return (high << 32n) | BigInt(this.#registers.get(Register.CommandLow) >>> 0);
    }
    if (WRITE_ONLY.has(offset) || offset === Register.DestinationFormat) return undefined;
    if (!this.#known(offset)) return undefined;
    return BigInt(this.#read(offset) >>> 0);
  }

  /** Writes an x2APIC MSR. @returns false where it raises #GP. */
  writeMsr(index: number, value: bigint): boolean {
    const offset = index << 4;
    const low = Number(value & 0xffffffffn);
    if (offset === Register.CommandLow) {
      this.#registers.set(Register.CommandLow, low & 0xcdfff);
      this.#registers.set(Register.CommandHigh, Number(value >> 32n));
      this.#send(low, Number(value >> 32n));
      return true;
    }
    if (value >> 32n !== 0n || READ_ONLY.has(offset) || !this.#known(offset)) return false;
    if (offset >= Register.InService && offset < Register.ErrorStatus) return false;
    if (ZERO_ONLY.has(offset) && low !== 0) return false;
    if (offset === Register.SelfIpi) this.#raise(low & 0xff, false);
    else this.#write(offset, low);
    return true;
  }

  /** IA32_TSC_DEADLINE: 0 when the timer is not armed or in another mode. */
  get tscDeadline(): bigint {
    return this.#timer.deadline;
  }

  set tscDeadline(value: bigint) {
    this.#timer.deadline = value;
  }

  save(): LocalApicState {
    return {
      version: 1,
      enabled: this.#enabled,
      x2apic: this.#x2apic,
      registers: this.#registers.save(),
      request: [...this.#request.words],
      service: [...this.#service.words],
      triggerMode: [...this.#triggerMode.words],
      ...this.#timer.save(),
      lint0: this.#lint0,
      errors: this.#errors,
    };
  }

  /** @throws QZ_CPU_STATE */
  restore(state: LocalApicState): void {
    checkLocalApicState(state);
    this.#enabled = state.enabled;
    this.#x2apic = state.x2apic;
    this.#registers.restore(state.registers);
    this.#request.words.set(state.request);
    this.#service.words.set(state.service);
    this.#triggerMode.words.set(state.triggerMode);
    this.#lint0 = state.lint0;
    this.#errors = state.errors;
    this.#timer.restore(state);
  }

  #priority(): number {
    const task = this.#registers.get(Register.TaskPriority);
    const service = Math.max(0, this.#service.highest());
    return task >> 4 >= service >> 4 ? task : service & 0xf0;
  }

  #x2apicLogicalId(): number {
    const { id } = this.#host;
    return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
  }

  #known(offset: number): boolean {
    if (offset >= Register.InService && offset < Register.ErrorStatus) return true;
    return KNOWN.has(offset);
  }

  #read(offset: number): number {
    if (offset >= Register.InService && offset < Register.ErrorStatus) {
      const sets = [this.#service, this.#triggerMode, this.#request];
      const set = sets[(offset - Register.InService) >> 7] as VectorSet;
      return set.words[(offset >> 4) & 7] as number;
    }
    switch (offset) {
      case Register.Id:
        return this.#x2apic ? this.#host.id : (this.#host.id << 24) >>> 0;
      case Register.Version:
        return VERSION;
      case Register.ProcessorPriority:
        return this.#priority();
      case Register.CurrentCount:
        return this.#timer.count;
      case Register.LogicalDestination:
        return this.#x2apic ? this.#x2apicLogicalId() : this.#registers.get(offset);
      case Register.ErrorStatus:
      default:
        if (!this.#known(offset)) this.#error(ILLEGAL_REGISTER);
        return this.#registers.get(offset) >>> 0;
    }
  }

  #write(offset: number, value: number): void {
    const lvt = LVT_MASKS[offset];
    if (lvt !== undefined) {
      // A software-disabled APIC keeps every entry masked.
      const disabled = (this.#registers.get(Register.Spurious) & 0x100) === 0;
      const old = this.#registers.get(offset);
      this.#registers.set(offset, (value & lvt) | (disabled ? MASKED : 0));
      if (offset === Register.LvtTimer && ((old ^ value) & 0x60000) !== 0) this.#timer.stop();
      this.#host.wake();
      return;
    }
    switch (offset) {
      case Register.TaskPriority:
        this.taskPriority = value;
        return;
      case Register.Eoi:
        this.#endOfInterrupt();
        return;
      case Register.LogicalDestination:
        this.#registers.set(offset, (value & 0xff000000) >>> 0);
        return;
      case Register.DestinationFormat:
        this.#registers.set(offset, (value | 0x0fffffff) >>> 0);
        return;
      case Register.Spurious:
        this.#registers.set(offset, value & 0x1ff);
        if ((value & 0x100) === 0) this.#maskAll();
        return;
      case Register.ErrorStatus:
        // A write makes the errors since the last one readable.
        this.#registers.set(offset, this.#errors);
        this.#errors = 0;
        return;
      case Register.InitialCount:
        this.#timer.start(value >>> 0);
        return;
      case Register.Divide:
        this.#timer.rebase(() => this.#registers.set(offset, value & 11));
        return;
      default:
        if (!this.#known(offset)) this.#error(ILLEGAL_REGISTER);
    }
  }

  #maskAll(): void {
    for (const offset of Object.keys(LVT_MASKS).map(Number)) {
      this.#registers.set(offset, this.#registers.get(offset) | MASKED);
    }
  }

  /** Makes a vector pending; vectors below 16 are illegal. */
  #raise(vector: number, level: boolean): boolean {
    if ((this.#registers.get(Register.Spurious) & 0x100) === 0 || !this.#enabled) return false;
    if (vector < 16) {
      this.#error(RECEIVE_ILLEGAL_VECTOR);
      return true;
    }
    this.#request.add(vector);
    if (level) this.#triggerMode.add(vector);
    else this.#triggerMode.delete(vector);
    this.#host.wake();
    return true;
  }

  #endOfInterrupt(): void {
    const vector = this.#service.highest();
    if (vector < 0) return;
    this.#service.delete(vector);
    if (this.#triggerMode.has(vector)) this.#host.endOfInterrupt(vector);
    this.#host.wake();
  }

  /** An event of the local vector table. */
  #local(offset: number): void {
    const entry = this.#registers.get(offset);
    if ((entry & MASKED) !== 0) return;
    const mode = offset === Register.LvtTimer ? DeliveryMode.Fixed : (entry >> 8) & 7;
    if (mode === DeliveryMode.Nmi) this.#host.nmi();
    else if (mode === DeliveryMode.Fixed) this.#raise(entry & 0xff, (entry & 0x8000) !== 0);
  }

  #error(bit: number): void {
    this.#errors |= bit;
    const entry = this.#registers.get(Register.LvtError);
    if ((entry & MASKED) === 0 && (entry & 0xff) >= 16) this.#raise(entry & 0xff, false);
  }

  #send(low: number, destination: number): void {
    const vector = low & 0xff;
    const deliveryMode = (low >> 8) & 7;
    if (deliveryMode === DeliveryMode.Fixed && vector < 16) {
      this.#error(SEND_ILLEGAL_VECTOR);
      return;
    }
    const shorthand = (["none", "self", "all", "others"] as const)[(low >> 18) & 3] ?? "none";
    this.#host.send(
      {
        vector,
        deliveryMode,
        destination,
        destinationMode: low & 0x800 ? "logical" : "physical",
        level: (low & 0x4000) !== 0,
        // Only INIT has a meaningful trigger mode here: level with the level bit clear is its de-assertion.
        trigger: deliveryMode === DeliveryMode.Init && low & 0x8000 ? "level" : "edge",
      },
      shorthand,
    );
  }
}
