import type { BusHandler, Clock, InterruptLine, Snapshottable, Timer } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { Oscillator } from "./oscillator.ts";
import { pcPlatform } from "./pc-platform.ts";
import { flag, list, optional, span, record, stateLayout, u8, upTo, whole } from "./state.ts";
import type { Checked, Saved } from "./state.ts";

const crystal = new Oscillator(pcPlatform.pit.hz);

const counterState = record({
  mode: upTo(5),
  /** 1 low byte, 2 high byte, 3 low then high. */
  access: upTo(3),
  bcd: flag,
  gate: flag,
  /** Cycles a period; 0 until a count was written. */
  count: upTo(0x10000),
  /** The count that takes over: in modes 2 and 3 after `changeAt` cycles, in modes 1 and 5 at the next trigger; 0 for none. */
  nextCount: upTo(0x10000),
  changeAt: whole,
  /** A count was written since the control word, and in modes 1 and 5 a trigger came since. */
  running: flag,
  /** Guest time since the count was loaded, in nanoseconds, unless `haltedCycles` holds it still. */
  elapsedNs: span,
  haltedCycles: optional(whole),
  lowByte: u8,
  writeHigh: flag,
  readHigh: flag,
  latch: optional(upTo(0xffff)),
  status: optional(u8),
});

type CounterState = Checked<typeof counterState>;

const layout = stateLayout("the PIT", 1, { counters: list(counterState, 3) });

/** The saved state of a PIT. */
export type PitState = Saved<typeof layout>;

/** One counter of the three. Its time is a function of when the count was loaded: nothing ticks. */
class Counter {
  mode = 3;
  #access = 3;
  #bcd = false;
  gate: boolean;
  #count = 0;
  #nextCount = 0;
  #changeAt = 0;
  #running = false;
  #loadedNs = 0;
  #haltedCycles: number | undefined;
  #lowByte = 0;
  #writeHigh = false;
  #readHigh = false;
  #latch: number | undefined;
  #status: number | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock, gate: boolean) {
    this.#clock = clock;
    this.gate = gate;
  }

  /** The level of OUT. */
  output(nowNs = this.#clock.nowNs()): boolean {
    const elapsed = this.#elapsed(nowNs);
    const count = this.#count;
    if (this.#periodic && (!this.#running || !this.gate)) return true;
    switch (this.mode) {
      case 0:
        return this.#running && elapsed >= count;
      case 1:
        return !this.#running || elapsed >= count;
      case 2:
        return elapsed % count !== count - 1;
      case 3:
        return elapsed % count < (count + 1) >> 1;
      default:
        return !this.#running || elapsed !== count;
    }
  }

  /** Guest time of the next change of OUT, or undefined if it stays until something is written. */
  nextChangeNs(nowNs: number): number | undefined {
    if (!this.#running || this.#haltedCycles !== undefined) return undefined;
    const elapsed = this.#elapsed(nowNs);
    const count = this.#count;
    const phase = elapsed % count;
    const start = elapsed - phase;
    let at: number | undefined;
    if (this.mode === 2) at = phase < count - 1 ? start + count - 1 : start + count;
    else if (this.mode === 3) at = start + (phase < (count + 1) >> 1 ? (count + 1) >> 1 : count);
    else if (elapsed < count) at = count;
    else if (this.mode >= 4 && elapsed === count) at = count + 1;
    return at === undefined ? undefined : this.#loadedNs + crystal.nanoseconds(at);
  }

  setGate(gate: boolean): void {
    if (gate === this.gate) return;
    const elapsed = this.#elapsed();
    this.gate = gate;
    if (this.mode === 1 || this.mode === 5) {
      if (gate && this.#count > 0) this.#load(this.#nextCount || this.#count);
    } else if (this.#periodic) {
      if (this.#count === 0) return;
      if (gate) this.#load(this.#nextCount || this.#count);
      else this.#haltedCycles = elapsed;
    } else if (this.#running) {
      if (gate) this.#resume();
      else this.#haltedCycles = elapsed;
    }
  }

  /** A control word for this counter, or with access 0 the counter-latch command. */
  control(value: number): void {
    const access = (value >>> 4) & 3;
    if (access === 0) {
      this.latchCount();
      return;
    }
    const mode = (value >>> 1) & 7;
    this.#access = access;
    this.mode = mode > 5 ? mode - 4 : mode;
    this.#bcd = (value & 1) !== 0;
    this.#running = false;
    this.#count = 0;
    this.#nextCount = 0;
    this.#haltedCycles = undefined;
    this.#writeHigh = false;
    this.#readHigh = false;
    this.#latch = undefined;
    this.#status = undefined;
  }

  latchCount(): void {
    this.#latch ??= this.#value();
  }

  latchStatus(): void {
    const nullCount = this.#count === 0 || this.#nextCount !== 0;
    this.#status ??=
      (this.output() ? 0x80 : 0) |
      (nullCount ? 0x40 : 0) |
      (this.#access << 4) |
      (this.mode << 1) |
      (this.#bcd ? 1 : 0);
  }

  readByte(): number {
    const status = this.#status;
    if (status !== undefined) {
      this.#status = undefined;
      return status;
    }
    const value = this.#latch ?? this.#value();
    const high = this.#access === 2 || (this.#access === 3 && this.#readHigh);
    if (this.#access === 3) this.#readHigh = !this.#readHigh;
    if (!this.#readHigh) this.#latch = undefined;
    return high ? value >>> 8 : value & 0xff;
  }

  writeByte(value: number): void {
    if (this.#access === 1) this.#write(value);
    else if (this.#access === 2) this.#write(value << 8);
    else if (this.#writeHigh) {
      this.#writeHigh = false;
      this.#write(this.#lowByte | (value << 8));
    } else {
      this.#lowByte = value;
      this.#writeHigh = true;
      // In mode 0 the first byte stops the count and takes OUT low.
      if (this.mode === 0) this.#running = false;
    }
  }

  save(): CounterState {
    return {
      mode: this.mode,
      access: this.#access,
      bcd: this.#bcd,
      gate: this.gate,
      count: this.#count,
      nextCount: this.#nextCount,
      changeAt: this.#changeAt,
      running: this.#running,
      elapsedNs: this.#clock.nowNs() - this.#loadedNs,
      haltedCycles: this.#haltedCycles,
      lowByte: this.#lowByte,
      writeHigh: this.#writeHigh,
      readHigh: this.#readHigh,
      latch: this.#latch,
      status: this.#status,
    };
  }

  restore(s: CounterState): void {
    this.mode = s.mode;
    this.#access = s.access || 3;
    this.#bcd = s.bcd;
    this.gate = s.gate;
    this.#count = s.count;
    this.#nextCount = s.nextCount;
    this.#changeAt = s.changeAt;
    this.#running = s.running && s.count > 0;
    this.#loadedNs = this.#clock.nowNs() - s.elapsedNs;
    this.#haltedCycles = s.haltedCycles;
    this.#lowByte = s.lowByte;
    this.#writeHigh = s.writeHigh;
    this.#readHigh = s.readHigh;
    this.#latch = s.latch;
    this.#status = s.status;
  }

  get #periodic(): boolean {
    return this.mode === 2 || this.mode === 3;
  }

  get #modulus(): number {
    return this.#bcd ? 10000 : 0x10000;
  }

  #write(raw: number): void {
    const count = (this.#bcd ? fromBcd(raw) : raw) || this.#modulus;
    // A count of 1 has no low phase in the periodic modes; it is not allowed there and counts as 2.
    const least = this.#periodic ? Math.max(2, count) : count;
    const triggered = this.mode === 1 || this.mode === 5;
    if (this.#running && (this.#periodic || triggered)) {
      const elapsed = this.#elapsed();
      this.#nextCount = least;
      this.#changeAt = elapsed - (elapsed % this.#count) + this.#count;
    } else if (triggered) {
      this.#count = least;
    } else {
      this.#load(least);
    }
  }

  #load(count: number): void {
    this.#count = count;
    this.#nextCount = 0;
    this.#loadedNs = this.#clock.nowNs();
    this.#running = true;
    const triggered = this.mode === 1 || this.mode === 5;
    this.#haltedCycles = this.gate || triggered ? undefined : 0;
  }

  #resume(): void {
    if (this.#haltedCycles === undefined) return;
    this.#loadedNs = this.#clock.nowNs() - crystal.nanoseconds(this.#haltedCycles);
    this.#haltedCycles = undefined;
  }

  /** Cycles since the count was loaded; a new count takes over here once the old one's period is over. */
  #elapsed(nowNs = this.#clock.nowNs()): number {
    if (!this.#running) return 0;
    if (this.#haltedCycles !== undefined) return this.#haltedCycles;
    const elapsed = crystal.cycles(Math.max(0, nowNs - this.#loadedNs));
    if (!this.#periodic || this.#nextCount === 0 || elapsed < this.#changeAt) return elapsed;
    this.#loadedNs += crystal.nanoseconds(this.#changeAt);
    this.#count = this.#nextCount;
    this.#nextCount = 0;
    return elapsed - this.#changeAt;
  }

  #value(): number {
    const elapsed = this.#elapsed();
    const count = this.#count;
    if (count === 0) return 0;
    let value: number;
    if (this.mode === 2) {
      value = count - (elapsed % count);
    } else if (this.mode === 3) {
      const half = (count + 1) >> 1;
      const phase = elapsed % count;
      value = (count & ~1) - 2 * (phase < half ? phase : phase - half);
    } else {
      value = (count - elapsed) % this.#modulus;
      if (value < 0) value += this.#modulus;
    }
    value %= this.#modulus;
    return this.#bcd ? toBcd(value) : value & 0xffff;
  }
}

/** What a PIT drives. */
export interface PitOptions {
  readonly clock: Clock;
  /** Driven by counter 0's output: IRQ 0. */
  readonly interrupt: InterruptLine;
}

/**
 * The 8254 timer: three counters at 1.193182 MHz in all six modes, binary and BCD, with the latch and
 * read-back commands. Counter 0 drives an interrupt; counter 2's gate and output are for port 0x61.
 * A count starts at the write itself, not at the next cycle's edge, and a new count in mode 3 takes over
 * after a whole period, not after half of one.
 */
export class Pit8254 implements Snapshottable<PitState> {
  readonly #clock: Clock;
  readonly #interrupt: InterruptLine;
  readonly #counters: readonly [Counter, Counter, Counter];
  #timer: Timer | undefined;
  /** Counter 0's output as it was last seen, and when it changes from that. */
  #level = true;
  #changeNs: number | undefined;

  /** The four ports (0x40). */
  readonly ports: BusHandler = byteRegisters({
    readByte: (offset) => (offset === 3 ? 0xff : this.#counter(offset).readByte()),
    writeByte: (offset, value) => {
      if (offset < 3) this.#counter(offset).writeByte(value);
      else if (value >>> 6 < 3) this.#counter(value >>> 6).control(value);
      else this.#readBack(value);
      this.#update();
    },
  });

  constructor(options: PitOptions) {
    this.#clock = options.clock;
    this.#interrupt = options.interrupt;
    const counter = (gate: boolean) => new Counter(options.clock, gate);
    this.#counters = [counter(true), counter(true), counter(false)];
    this.#update();
  }

  /** Counter 2's gate, which port 0x61 drives. */
  get gate2(): boolean {
    return this.#counters[2].gate;
  }

  set gate2(gate: boolean) {
    this.#counters[2].setGate(gate);
  }

  /** Counter 2's output, which port 0x61 reads and the speaker sounds. */
  get output2(): boolean {
    return this.#counters[2].output();
  }

  /** Counter 0 and 1 wait for a count, counter 2's gate is closed. */
  reset(): void {
    const fresh = new Counter(this.#clock, true).save();
    this.#counters.forEach((counter, i) => counter.restore({ ...fresh, gate: i < 2 }));
    this.#changeNs = undefined;
    this.#update();
  }

  save(): PitState {
    return { version: layout.version, counters: this.#counters.map((counter) => counter.save()) };
  }

  restore(state: PitState): void {
    const { counters } = layout.check(state);
    this.#counters.forEach((counter, i) => counter.restore(counters[i] as CounterState));
    this.#changeNs = undefined;
    this.#update();
  }

  #counter(index: number): Counter {
    return this.#counters[index] as Counter;
  }

  #readBack(value: number): void {
    this.#counters.forEach((counter, i) => {
      if (!(value & (2 << i))) return;
      if (!(value & 0x20)) counter.latchCount();
      if (!(value & 0x10)) counter.latchStatus();
    });
  }

  #update(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const counter = this.#counters[0];
    // Asked for once: what is seen and what is still to come must not have time pass between them.
    const nowNs = this.#clock.nowNs();
    // A pulse of one cycle is over when the host looks: its edge is an interrupt all the same.
    if (this.#changeNs !== undefined && nowNs >= this.#changeNs) this.#interrupt.set(!this.#level);
    this.#level = counter.output(nowNs);
    this.#interrupt.set(this.#level);
    this.#changeNs = counter.nextChangeNs(nowNs);
    if (this.#changeNs === undefined) return;
    this.#timer = this.#clock.schedule(this.#changeNs, () => this.#update());
  }
}

function fromBcd(raw: number): number {
  let value = 0;
  for (let shift = 12; shift >= 0; shift -= 4) value = value * 10 + ((raw >>> shift) & 15);
  return value % 10000;
}

function toBcd(value: number): number {
  let bcd = 0;
  for (let shift = 0; shift < 16; shift += 4) {
    bcd |= (value % 10) << shift;
    value = Math.floor(value / 10);
  }
  return bcd;
}
