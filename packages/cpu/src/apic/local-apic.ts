import type { Clock, Snapshottable, Timer } from "@queztl/memory";
import { cpuError } from "../errors.ts";
import { DeliveryMode } from "./interrupt-message.ts";
import type { ApicMessage } from "./interrupt-message.ts";

/** Register offsets in the xAPIC page; x2APIC MSRs are 0x800 + offset / 16 (Intel SDM vol. 3, 11.4.1 and 11.12.1). */
const Register = {
  Id: 0x20,
  Version: 0x30,
  TaskPriority: 0x80,
  ProcessorPriority: 0xa0,
  Eoi: 0xb0,
  LogicalDestination: 0xd0,
  DestinationFormat: 0xe0,
  Spurious: 0xf0,
  InService: 0x100,
  TriggerMode: 0x180,
  Request: 0x200,
  ErrorStatus: 0x280,
  CommandLow: 0x300,
  CommandHigh: 0x310,
  LvtTimer: 0x320,
  LvtThermal: 0x330,
  LvtPerformance: 0x340,
  LvtLint0: 0x350,
  LvtLint1: 0x360,
  LvtError: 0x370,
  InitialCount: 0x380,
  CurrentCount: 0x390,
  Divide: 0x3e0,
  SelfIpi: 0x3f0,
} as const;

const MASKED = 0x10000;
const VERSION = 0x50014;
const SEND_ILLEGAL_VECTOR = 0x20;
const RECEIVE_ILLEGAL_VECTOR = 0x40;
const ILLEGAL_REGISTER = 0x80;

/** Writable bits of each local vector table entry. */
const LVT_MASKS: Readonly<Record<number, number>> = {
  [Register.LvtTimer]: 0x700ff,
  [Register.LvtThermal]: 0x107ff,
  [Register.LvtPerformance]: 0x107ff,
  [Register.LvtLint0]: 0x1a7ff,
  [Register.LvtLint1]: 0x1a7ff,
  [Register.LvtError]: 0x100ff,
};

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

/** A saved local APIC. */
export interface LocalApicState {
  readonly version: 1;
  readonly enabled: boolean;
  readonly x2apic: boolean;
  readonly registers: Readonly<Record<string, number>>;
  readonly request: readonly number[];
  readonly service: readonly number[];
  readonly triggerMode: readonly number[];
  readonly timerStartNs: number;
  readonly tscDeadline: bigint;
  readonly lint0: boolean;
  /** Errors since the error status register was last written. */
  readonly errors: number;
}

const MOST_TICKS = 2 ** 40;

function checkLocalApicState(state: LocalApicState): void {
  const fail = (reason: string): Error =>
    cpuError("QZ_CPU_STATE", { reason: `local APIC ${reason}` });
  if (state.version !== 1) throw fail(`version ${String(state.version)}`);
  const word = (value: unknown): boolean => typeof value === "number" && value === value >>> 0;
  const known = Object.entries(state.registers).every(
    ([offset, value]) =>
      word(Number(offset)) && typeof value === "number" && Math.abs(value) < MOST_TICKS,
  );
  const sets = [state.request, state.service, state.triggerMode];
  const flags = [state.enabled, state.x2apic, state.lint0];
  const possible =
    known &&
    sets.every((set) => Array.isArray(set) && set.length === 8 && set.every(word)) &&
    flags.every((flag) => typeof flag === "boolean") &&
    Number.isFinite(state.timerStartNs) &&
    typeof state.tscDeadline === "bigint" &&
    word(state.errors);
  if (!possible) throw fail("state is impossible");
}

/** 256 bits as eight words. */
class VectorSet {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (((this.words[vector >> 5] as number) >>> (vector & 31)) & 1) !== 0;
  }

  add(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] as number) | (1 << (vector & 31));
  }

  delete(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] as number) & ~(1 << (vector & 31));
  }

  /** The highest member, or −1. */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.words[i] as number;
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}

/** A processor's local APIC, xAPIC and x2APIC, with its timer (Intel SDM vol. 3, 11). */
export class LocalApic implements Snapshottable<LocalApicState> {
  readonly #host: LocalApicHost;
  readonly #request = new VectorSet();
  readonly #service = new VectorSet();
  readonly #triggerMode = new VectorSet();
  #values = new Map<number, number>();
  #enabled = true;
  #x2apic = false;
  #timer: Timer | undefined;
  #timerStartNs = 0;
  #tscDeadline = 0n;
  #lint0 = false;
  #errors = 0;

  constructor(host: LocalApicHost) {
    this.#host = host;
    this.reset();
  }

  /** The state after power-up or INIT; the enable and mode bits are APIC_BASE's. */
  reset(): void {
    this.#request.words.fill(0);
    this.#service.words.fill(0);
    this.#triggerMode.words.fill(0);
    this.#values = new Map<number, number>([
      [Register.DestinationFormat, 0xffffffff],
      [Register.Spurious, 0xff],
    ]);
    for (const lvt of Object.keys(LVT_MASKS)) this.#values.set(Number(lvt), MASKED);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#tscDeadline = 0n;
    this.#errors = 0;
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
    return this.#value(Register.TaskPriority);
  }

  set taskPriority(value: number) {
    this.#values.set(Register.TaskPriority, value & 0xff);
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
    const lint0 = this.#value(Register.LvtLint0);
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
    const logical = this.#value(Register.LogicalDestination) >>> 24;
    if (destination === 0xff) return true;
    // Flat model: a bit each; cluster model: four bits of cluster, a bit each inside it.
    if (this.#value(Register.DestinationFormat) >>> 28 === 0xf)
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
      this.#values.set(Register.CommandLow, value & 0xcdfff);
      this.#send(value, this.#value(Register.CommandHigh) >>> 24);
    } else if (offset === Register.CommandHigh) this.#values.set(offset, value & 0xff000000);
    else if (offset === Register.SelfIpi) this.#error(ILLEGAL_REGISTER);
    else this.#write(offset, value);
  }

  /** Reads an x2APIC MSR by its number less 0x800; undefined raises #GP. */
  readMsr(index: number): bigint | undefined {
    const offset = index << 4;
    if (offset === Register.CommandLow) {
      const high = BigInt(this.#value(Register.CommandHigh) >>> 0);
      return (high << 32n) | BigInt(this.#value(Register.CommandLow) >>> 0);
    }
    const writeOnly: number[] = [Register.Eoi, Register.SelfIpi, Register.CommandHigh];
    if (writeOnly.includes(offset) || offset === Register.DestinationFormat) return undefined;
    if (!this.#known(offset)) return undefined;
    return BigInt(this.#read(offset) >>> 0);
  }

  /** Writes an x2APIC MSR. @returns false where it raises #GP. */
  writeMsr(index: number, value: bigint): boolean {
    const offset = index << 4;
    const low = Number(value & 0xffffffffn);
    if (offset === Register.CommandLow) {
      this.#values.set(Register.CommandLow, low & 0xcdfff);
      this.#values.set(Register.CommandHigh, Number(value >> 32n));
      this.#send(low, Number(value >> 32n));
      return true;
    }
    const readOnly: number[] = [
      Register.Id,
      Register.Version,
      Register.ProcessorPriority,
      Register.LogicalDestination,
      Register.DestinationFormat,
      Register.CommandHigh,
      Register.CurrentCount,
    ];
    if (value >> 32n !== 0n || readOnly.includes(offset) || !this.#known(offset)) return false;
    if (offset >= Register.InService && offset < Register.ErrorStatus) return false;
    const zeroOnly: number[] = [Register.Eoi, Register.ErrorStatus];
    if (zeroOnly.includes(offset) && low !== 0) return false;
    if (offset === Register.SelfIpi) this.#raise(low & 0xff, false);
    else this.#write(offset, low);
    return true;
  }

  /** IA32_TSC_DEADLINE: 0 when the timer is not armed or in another mode. */
  get tscDeadline(): bigint {
    return this.#tscDeadline;
  }

  set tscDeadline(value: bigint) {
    if (((this.#value(Register.LvtTimer) >> 17) & 3) !== 2) return;
    this.#tscDeadline = value;
    this.#arm();
  }

  save(): LocalApicState {
    return {
      version: 1,
      enabled: this.#enabled,
      x2apic: this.#x2apic,
      registers: Object.fromEntries(this.#values),
      request: [...this.#request.words],
      service: [...this.#service.words],
      triggerMode: [...this.#triggerMode.words],
      timerStartNs: this.#timerStartNs,
      tscDeadline: this.#tscDeadline,
      lint0: this.#lint0,
      errors: this.#errors,
    };
  }

  /** @throws QZ_CPU_STATE */
  restore(state: LocalApicState): void {
    checkLocalApicState(state);
    this.#enabled = state.enabled;
    this.#x2apic = state.x2apic;
    this.#values = new Map(
      Object.entries(state.registers).map(([offset, value]) => [Number(offset), value]),
    );
    this.#request.words.set(state.request);
    this.#service.words.set(state.service);
    this.#triggerMode.words.set(state.triggerMode);
    this.#timerStartNs = state.timerStartNs;
    this.#tscDeadline = state.tscDeadline;
    this.#lint0 = state.lint0;
    this.#errors = state.errors;
    this.#arm();
  }

  #value(offset: number): number {
    return this.#values.get(offset) ?? 0;
  }

  #priority(): number {
    const task = this.#value(Register.TaskPriority);
    const service = Math.max(0, this.#service.highest());
    return task >> 4 >= service >> 4 ? task : service & 0xf0;
  }

  #x2apicLogicalId(): number {
    const { id } = this.#host;
    return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
  }

  #known(offset: number): boolean {
    if (offset >= Register.InService && offset < Register.ErrorStatus) return true;
    return (Object.values(Register) as number[]).includes(offset);
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
        return this.#currentCount();
      case Register.LogicalDestination:
        return this.#x2apic ? this.#x2apicLogicalId() : this.#value(offset);
      case Register.ErrorStatus:
      default:
        if (!this.#known(offset)) this.#error(ILLEGAL_REGISTER);
        return this.#value(offset) >>> 0;
    }
  }

  #write(offset: number, value: number): void {
    const lvt = LVT_MASKS[offset];
    if (lvt !== undefined) {
      // A software-disabled APIC keeps every entry masked.
      const disabled = (this.#value(Register.Spurious) & 0x100) === 0;
      const old = this.#value(offset);
      this.#values.set(offset, (value & lvt) | (disabled ? MASKED : 0));
      if (offset === Register.LvtTimer && ((old ^ value) & 0x60000) !== 0) this.#stopTimer();
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
        this.#values.set(offset, (value & 0xff000000) >>> 0);
        return;
      case Register.DestinationFormat:
        this.#values.set(offset, (value | 0x0fffffff) >>> 0);
        return;
      case Register.Spurious:
        this.#values.set(offset, value & 0x1ff);
        if ((value & 0x100) === 0) this.#maskAll();
        return;
      case Register.ErrorStatus:
        // A write makes the errors since the last one readable.
        this.#values.set(offset, this.#errors);
        this.#errors = 0;
        return;
      case Register.InitialCount:
        if (((this.#value(Register.LvtTimer) >> 17) & 3) === 2) return;
        this.#values.set(offset, value >>> 0);
        this.#timerStartNs = this.#host.clock.nowNs();
        this.#arm();
        return;
      case Register.Divide:
        this.#rebase(() => this.#values.set(offset, value & 11));
        return;
      default:
        if (!this.#known(offset)) this.#error(ILLEGAL_REGISTER);
    }
  }

  #maskAll(): void {
    for (const offset of Object.keys(LVT_MASKS).map(Number)) {
      this.#values.set(offset, this.#value(offset) | MASKED);
    }
  }

  /** Makes a vector pending; vectors below 16 are illegal. */
  #raise(vector: number, level: boolean): boolean {
    if ((this.#value(Register.Spurious) & 0x100) === 0 || !this.#enabled) return false;
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
    const entry = this.#value(offset);
    if ((entry & MASKED) !== 0) return;
    const mode = offset === Register.LvtTimer ? DeliveryMode.Fixed : (entry >> 8) & 7;
    if (mode === DeliveryMode.Nmi) this.#host.nmi();
    else if (mode === DeliveryMode.Fixed) this.#raise(entry & 0xff, (entry & 0x8000) !== 0);
  }

  #error(bit: number): void {
    this.#errors |= bit;
    const entry = this.#value(Register.LvtError);
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

  /** Nanoseconds that one tick of the divided timer clock takes. */
  #tickNs(): number {
    const bits = this.#value(Register.Divide);
    const shift = (((bits & 8) >> 1) | (bits & 3)) + 1;
    const divider = shift === 8 ? 1 : 2 ** shift;
    return (1e9 / this.#host.timerHz) * divider;
  }

  #elapsedTicks(): number {
    return Math.floor((this.#host.clock.nowNs() - this.#timerStartNs) / this.#tickNs());
  }

  #currentCount(): number {
    const initial = this.#value(Register.InitialCount);
    if (initial === 0 || ((this.#value(Register.LvtTimer) >> 17) & 3) === 2) return 0;
    const elapsed = this.#elapsedTicks();
    const periodic = (this.#value(Register.LvtTimer) & 0x20000) !== 0;
    if (periodic) return initial - (elapsed % initial);
    return Math.max(0, initial - elapsed);
  }

  /** Changes what ticks mean while keeping the count reached. */
  #rebase(change: () => void): void {
    const initial = this.#value(Register.InitialCount);
    const gone = initial - this.#currentCount();
    change();
    this.#timerStartNs = this.#host.clock.nowNs() - gone * this.#tickNs();
    this.#arm();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#values.set(Register.InitialCount, 0);
    this.#tscDeadline = 0n;
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#host;
    const mode = (this.#value(Register.LvtTimer) >> 17) & 3;
    if (mode === 2) {
      if (this.#tscDeadline === 0n) return;
      this.#timer = clock.schedule(this.#host.tscDeadlineNs(this.#tscDeadline), () => {
        this.#timer = undefined;
        this.#tscDeadline = 0n;
        this.#local(Register.LvtTimer);
      });
      return;
    }
    const initial = this.#value(Register.InitialCount);
    if (initial === 0) return;
    const period = initial * this.#tickNs();
    const periodic = mode === 1;
    if (!periodic && this.#elapsedTicks() >= initial) return;
    const rounds = Math.floor((clock.nowNs() - this.#timerStartNs) / period) + 1;
    this.#timer = clock.schedule(this.#timerStartNs + rounds * period, () => {
      this.#timer = undefined;
      this.#local(Register.LvtTimer);
      if (periodic) this.#arm();
    });
  }
}
