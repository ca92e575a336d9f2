import type { BusHandler, Clock, InterruptLine, Snapshottable, Timer } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { pcPlatform } from "./pc-platform.ts";
import { bytes, span, stateLayout, u8 } from "./state.ts";
import type { Saved } from "./state.ts";

const SIZE = 128;
const SECOND_MS = 1000;
const DAY_SECONDS = 86_400;
/** UIP is set this long before an update: 8 cycles of the 32.768 kHz crystal. */
const UPDATE_MS = 8 / 32.768;

// Registers.
const SECONDS = 0;
const SECONDS_ALARM = 1;
const MINUTES = 2;
const MINUTES_ALARM = 3;
const HOURS = 4;
const HOURS_ALARM = 5;
const WEEKDAY = 6;
const DAY = 7;
const MONTH = 8;
const YEAR = 9;
const A = 10;
const B = 11;
const C = 12;
const D = 13;
const CENTURY = pcPlatform.rtc.centuryRegister;
const TIME_REGISTERS: readonly number[] = [
  SECONDS,
  MINUTES,
  HOURS,
  WEEKDAY,
  DAY,
  MONTH,
  YEAR,
  CENTURY,
];

// Bits of A, B and C.
const UPDATE_IN_PROGRESS = 0x80;
const SET = 0x80;
const PERIODIC = 0x40;
const ALARM = 0x20;
const UPDATE = 0x10;
const BINARY = 4;
const HOURS_24 = 2;
const REQUEST = 0x80;
const PM = 0x80;

const layout = stateLayout("the RTC", 1, {
  index: u8,
  cmos: bytes(SIZE),
  /** What the guest's clock is ahead of the host's idea of it, in milliseconds. */
  offsetMs: span,
  /** The last moment whose events are in register C: guest time before now, and the RTC's second. */
  seenAgoNs: span,
  seenSecond: span,
});

/** The saved state of an RTC. */
export type RtcState = Saved<typeof layout>;

/** What an RTC needs. */
export interface RtcOptions {
  readonly clock: Clock;
  readonly interrupt: InterruptLine;
  /** Guest RAM in bytes, which firmware leaves in CMOS for kernels that look there. */
  readonly ramBytes: number;
}

/**
 * An MC146818 real-time clock with 128 bytes of CMOS RAM at ports 0x70 and 0x71: UTC from
 * `Clock.epochMs`, BCD or binary, 12 or 24 hours, century in register 0x32; periodic, alarm and update
 * interrupts. The guest may set it; the difference to the host is kept.
 */
export class Rtc implements Snapshottable<RtcState> {
  readonly #clock: Clock;
  readonly #interrupt: InterruptLine;
  readonly #ramBytes: number;
  readonly #cmos = new Uint8Array(SIZE);
  #index = 0;
  #offsetMs = 0;
  #seenNs: number;
  #seenSecond: number;
  #timer: Timer | undefined;

  /** The index and data ports (0x70). */
  readonly ports: BusHandler = byteRegisters({
    readByte: (offset) => (offset === 0 ? 0xff : this.#read(this.#index & 0x7f)),
    writeByte: (offset, value) => {
      if (offset === 0) this.#index = value;
      else this.#write(this.#index & 0x7f, value);
    },
  });

  constructor(options: RtcOptions) {
    this.#clock = options.clock;
    this.#interrupt = options.interrupt;
    this.#ramBytes = options.ramBytes;
    this.#seenNs = this.#clock.nowNs();
    this.#seenSecond = this.#second();
    this.#cmos[A] = 0x26;
    this.#cmos[B] = HOURS_24;
    this.#describeMemory(options.ramBytes);
  }

  /** Whether the guest masks NMIs (bit 7 of the index port). */
  get nmiMasked(): boolean {
    return (this.#index & 0x80) !== 0;
  }

  /** A byte of CMOS RAM for firmware settings, not through the clock. */
  setCmos(register: number, value: number): void {
    if (register > D && register < SIZE && register !== CENTURY) this.#cmos[register] = value;
  }

  /** A hardware reset: interrupts off; the time and the CMOS RAM stay. */
  reset(): void {
    this.#cmos[B] = (this.#cmos[B] as number) & ~(PERIODIC | ALARM | UPDATE | 8);
    this.#cmos[C] = 0;
    this.#index = 0;
    this.#describeMemory(this.#ramBytes);
    this.#update();
  }

  save(): RtcState {
    this.#collect();
    return {
      version: layout.version,
      index: this.#index,
      cmos: this.#cmos.slice(),
      offsetMs: this.#offsetMs,
      seenAgoNs: this.#clock.nowNs() - this.#seenNs,
      seenSecond: this.#seenSecond,
    };
  }

  restore(state: RtcState): void {
    const s = layout.check(state);
    this.#index = s.index;
    this.#cmos.set(s.cmos);
    this.#offsetMs = s.offsetMs;
    this.#seenNs = this.#clock.nowNs() - s.seenAgoNs;
    this.#seenSecond = s.seenSecond;
    this.#update();
  }

  #register(index: number): number {
    return this.#cmos[index] as number;
  }

  /** The time stands still: the guest is setting it, or holds the divider in reset. */
  get #frozen(): boolean {
    return (this.#register(B) & SET) !== 0 || (this.#register(A) & 0x60) === 0x60;
  }

  /** The guest's wall clock, in milliseconds since 1970. */
  #nowMs(): number {
    return this.#clock.epochMs() + this.#offsetMs;
  }

  #second(): number {
    return Math.floor(this.#nowMs() / SECOND_MS);
  }

  #read(register: number): number {
    if (register === A) {
      const intoSecond = this.#nowMs() - this.#second() * SECOND_MS;
      const updating = !this.#frozen && intoSecond >= SECOND_MS - UPDATE_MS;
      return (this.#register(A) & 0x7f) | (updating ? UPDATE_IN_PROGRESS : 0);
    }
    if (register === C) {
      this.#collect();
      const value = this.#register(C);
      this.#cmos[C] = 0;
      this.#update();
      return value;
    }
    if (register === D) return 0x80;
    if (!this.#frozen && TIME_REGISTERS.includes(register)) this.#storeTime();
    return this.#register(register);
  }

  #write(register: number, value: number): void {
    if (register === A || register === B) {
      this.#collect();
      const wasFrozen = this.#frozen;
      if (!wasFrozen) this.#storeTime();
      if (register === A) this.#cmos[A] = value & 0x7f;
      // Setting the time turns the update interrupt off.
      else this.#cmos[B] = value & SET ? value & ~UPDATE : value;
      if (wasFrozen && !this.#frozen) this.#loadTime();
    } else if (register === C || register === D) {
      return;
    } else if (TIME_REGISTERS.includes(register)) {
      if (!this.#frozen) this.#storeTime();
      this.#cmos[register] = value;
      if (!this.#frozen) this.#loadTime();
    } else {
      this.#collect();
      this.#cmos[register] = value;
    }
    this.#update();
  }

  /** Puts the time that goes on into the registers. */
  #storeTime(): void {
    const date = new Date(this.#second() * SECOND_MS);
    const year = date.getUTCFullYear();
    this.#cmos[SECONDS] = this.#encode(date.getUTCSeconds());
    this.#cmos[MINUTES] = this.#encode(date.getUTCMinutes());
    this.#cmos[HOURS] = this.#encodeHours(date.getUTCHours());
    this.#cmos[WEEKDAY] = this.#encode(date.getUTCDay() + 1);
    this.#cmos[DAY] = this.#encode(date.getUTCDate());
    this.#cmos[MONTH] = this.#encode(date.getUTCMonth() + 1);
    this.#cmos[YEAR] = this.#encode(year % 100);
    this.#cmos[CENTURY] = this.#encode(Math.floor(year / 100) % 100);
  }

  /** Makes the registers the time that goes on; a date that does not exist is carried over. */
  #loadTime(): void {
    const value = (register: number) => this.#decode(this.#register(register));
    const date = new Date(0);
    date.setUTCFullYear(value(CENTURY) * 100 + value(YEAR), value(MONTH) - 1, value(DAY));
    date.setUTCHours(this.#hours(this.#register(HOURS)), value(MINUTES), value(SECONDS));
    this.#offsetMs = date.getTime() - this.#clock.epochMs();
    this.#seenSecond = this.#second();
  }

  #encode(value: number): number {
    if (this.#register(B) & BINARY) return value;
    return (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(value: number): number {
    return this.#register(B) & BINARY ? value : (value >>> 4) * 10 + (value & 15);
  }

  #encodeHours(hours: number): number {
    if (this.#register(B) & HOURS_24) return this.#encode(hours);
    return this.#encode(hours % 12 || 12) | (hours >= 12 ? PM : 0);
  }

  #hours(value: number): number {
    if (this.#register(B) & HOURS_24) return this.#decode(value);
    return (this.#decode(value & 0x7f) % 12) + (value & PM ? 12 : 0);
  }

  /** Nanoseconds a period of the periodic interrupt; undefined when it is off. */
  #periodNs(): number | undefined {
    const rate = this.#register(A) & 15;
    if (rate === 0) return undefined;
    return (2 ** ((rate < 3 ? rate + 7 : rate) - 1) * 1e9) / 32768;
  }

  /** Sets in C what happened since this was last done, so that nothing need tick while nobody asks. */
  #collect(): void {
    const now = this.#clock.nowNs();
    let flags = 0;
    const period = this.#periodNs();
    if (period !== undefined && Math.floor(now / period) > Math.floor(this.#seenNs / period))
      flags |= PERIODIC;
    if (!this.#frozen) {
      const second = this.#second();
      if (second !== this.#seenSecond) flags |= UPDATE;
      const first = Math.max(this.#seenSecond + 1, second - DAY_SECONDS + 1);
      for (let s = first; s <= second && !(flags & ALARM); s++)
        if (this.#alarmAt(s)) flags |= ALARM;
      this.#seenSecond = second;
    }
    this.#seenNs = now;
    this.#cmos[C] = this.#register(C) | flags;
  }

  #alarmAt(second: number): boolean {
    const ofDay = ((second % DAY_SECONDS) + DAY_SECONDS) % DAY_SECONDS;
    // The two highest bits make an alarm register match everything.
    const matches = (register: number, encoded: number) => {
      const alarm = this.#register(register);
      return alarm >= 0xc0 || alarm === encoded;
    };
    return (
      matches(SECONDS_ALARM, this.#encode(ofDay % 60)) &&
      matches(MINUTES_ALARM, this.#encode(Math.floor(ofDay / 60) % 60)) &&
      matches(HOURS_ALARM, this.#encodeHours(Math.floor(ofDay / 3600)))
    );
  }

  /** Drives the interrupt, and sets the timer for the next event that may raise it. */
  #update(): void {
    const enabled = this.#register(B) & (PERIODIC | ALARM | UPDATE);
    const asserted = (this.#register(C) & enabled) !== 0;
    this.#cmos[C] = (this.#register(C) & ~REQUEST) | (asserted ? REQUEST : 0);
    this.#interrupt.set(asserted);
    this.#timer?.cancel();
    this.#timer = undefined;
    // An event that is flagged already raises nothing new until the guest has read C.
    const awaited = enabled & ~this.#register(C);
    const now = this.#clock.nowNs();
    let atNs = Infinity;
    const period = this.#periodNs();
    if (awaited & PERIODIC && period !== undefined)
      atNs = Math.ceil((Math.floor(now / period) + 1) * period);
    if (awaited & (ALARM | UPDATE) && !this.#frozen) {
      const toNext = (this.#second() + 1) * SECOND_MS - this.#nowMs();
      atNs = Math.min(atNs, now + Math.max(1000, Math.ceil(toNext * 1e6)));
    }
    if (atNs === Infinity) return;
    this.#timer = this.#clock.schedule(atNs, () => {
      this.#collect();
      this.#update();
    });
  }

  /** The memory sizes of the AT's and later firmware's CMOS layout. */
  #describeMemory(ramBytes: number): void {
    const cmos = this.#cmos;
    const word = (register: number, value: number) => {
      cmos[register] = value & 0xff;
      cmos[register + 1] = value >>> 8;
    };
    const below4G = Math.min(ramBytes, 0xc000_0000);
    const extendedKib = Math.min(0xffff, Math.max(0, (below4G - 0x10_0000) / 1024));
    const above16M = Math.min(0xffff, Math.max(0, (below4G - 0x100_0000) / 65536));
    const above4G = (ramBytes - below4G) / 65536;
    word(0x15, 640);
    word(0x17, extendedKib);
    word(0x30, extendedKib);
    word(0x34, above16M);
    word(0x5b, above4G % 0x10000);
    cmos[0x5d] = Math.floor(above4G / 0x10000);
  }
}
