import type { BusHandler, Clock, InterruptLine, Snapshottable, Timer } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { Oscillator } from "./oscillator.ts";
import { pcPlatform } from "./pc-platform.ts";
import { span, stateLayout, u16, whole } from "./state.ts";
import type { Saved } from "./state.ts";

const crystal = new Oscillator(pcPlatform.acpi.pmTimerHz);

// PM1 status and enable bits (ACPI 6.5, 4.8.3.1).
const TIMER = 1;
const GLOBAL = 1 << 5;
const POWER_BUTTON = 1 << 8;
const SLEEP_BUTTON = 1 << 9;
const RTC = 1 << 10;
const WAKE = 1 << 15;
const STATUS = TIMER | (1 << 4) | GLOBAL | POWER_BUTTON | SLEEP_BUTTON | RTC | WAKE;
const ENABLE = TIMER | GLOBAL | POWER_BUTTON | SLEEP_BUTTON | RTC;

// PM1 control bits (4.8.3.2).
const SCI_ENABLE = 1;
const BUS_MASTER_RELOAD = 2;
const SLEEP_TYPE = 7 << 10;
const SLEEP_ENABLE = 1 << 13;

const layout = stateLayout("the ACPI power management block", 1, {
  status: u16,
  enable: u16,
  control: u16,
  /** Guest time that the timer has counted, in nanoseconds, and the overflows seen of it. */
  elapsedNs: span,
  overflows: whole,
});

/** The saved state of the ACPI fixed hardware. */
export type AcpiPmState = Saved<typeof layout>;

/** What the ACPI fixed hardware needs. */
export interface AcpiPmOptions {
  readonly clock: Clock;
  /** The SCI, level-triggered. */
  readonly interrupt: InterruptLine;
  /** 24 (the default) or 32, as the FADT's TMR_VAL_EXT says. */
  readonly timerBits?: 24 | 32;
  /** The guest entered S5. */
  readonly onPowerOff: () => void;
}

/**
 * ACPI's fixed hardware (ACPI 6.5, 4.8.3): the PM1a event and control registers with the power button,
 * and the 3.579545 MHz power-management timer. ACPI mode is always on. Of the sleeping states there is
 * S5.
 */
export class AcpiPm implements Snapshottable<AcpiPmState> {
  readonly #options: AcpiPmOptions;
  readonly #bits: 24 | 32;
  #status = 0;
  #enable = 0;
  #control = SCI_ENABLE;
  #startNs: number;
  /** How often the timer's highest bit had changed when the status was last brought up to date. */
  #overflows = 0;
  #timer: Timer | undefined;

  /** PM1a status and enable (4 bytes). */
  readonly eventPorts: BusHandler = byteRegisters({
    readByte: (offset) => {
      this.#collect();
      const value = offset < 2 ? this.#status : this.#enable;
      return (value >>> (8 * (offset & 1))) & 0xff;
    },
    writeByte: (offset, value) => {
      this.#collect();
      const bits = value << (8 * (offset & 1));
      if (offset < 2) this.#status &= ~bits;
      else this.#enable = ((this.#enable & (0xff << (8 - 8 * (offset & 1)))) | bits) & ENABLE;
      this.#update();
    },
  });

  /** PM1a control (2 bytes). */
  readonly controlPorts: BusHandler = byteRegisters({
    readByte: (offset) => (this.#control >>> (8 * offset)) & 0xff,
    writeByte: (offset, value) => {
      const bits = value << (8 * offset);
      const merged = (this.#control & (0xff << (8 - 8 * offset))) | bits;
      this.#control = (merged & (BUS_MASTER_RELOAD | SLEEP_TYPE)) | SCI_ENABLE;
      const sleepType = (this.#control & SLEEP_TYPE) >>> 10;
      if (bits & SLEEP_ENABLE && sleepType === pcPlatform.acpi.s5SleepType)
        this.#options.onPowerOff();
    },
  });

  /** The timer (4 bytes, read only). */
  readonly timerPorts: BusHandler = {
    read: (offset, size) => {
      const value = crystal.cycles(this.#elapsedNs()) % 2 ** this.#bits;
      return Math.floor(value / 2 ** (8 * offset)) % 2 ** (8 * size);
    },
    write: () => {},
  };

  constructor(options: AcpiPmOptions) {
    this.#options = options;
    this.#bits = options.timerBits ?? 24;
    this.#startNs = options.clock.nowNs();
  }

  /** Somebody pressed the power button: a guest that listens shuts down. */
  pressPowerButton(): void {
    this.#status |= POWER_BUTTON;
    this.#update();
  }

  /** Registers as at power-on; the timer goes on. */
  reset(): void {
    this.#status = 0;
    this.#enable = 0;
    this.#control = SCI_ENABLE;
    this.#overflows = this.#changesOfHighBit();
    this.#update();
  }

  save(): AcpiPmState {
    this.#collect();
    return {
      version: layout.version,
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      elapsedNs: this.#elapsedNs(),
      overflows: this.#overflows,
    };
  }

  restore(state: AcpiPmState): void {
    const s = layout.check(state);
    this.#status = s.status & STATUS;
    this.#enable = s.enable & ENABLE;
    this.#control = (s.control & (BUS_MASTER_RELOAD | SLEEP_TYPE)) | SCI_ENABLE;
    this.#startNs = this.#options.clock.nowNs() - Math.max(0, s.elapsedNs);
    this.#overflows = s.overflows;
    this.#update();
  }

  #elapsedNs(): number {
    return Math.max(0, this.#options.clock.nowNs() - this.#startNs);
  }

  #changesOfHighBit(): number {
    return Math.floor(crystal.cycles(this.#elapsedNs()) / 2 ** (this.#bits - 1));
  }

  #collect(): void {
    const overflows = this.#changesOfHighBit();
    if (overflows !== this.#overflows) this.#status |= TIMER;
    this.#overflows = overflows;
  }

  /** Drives the SCI; waits for the timer's next overflow only while that may interrupt. */
  #update(): void {
    const { clock, interrupt } = this.#options;
    interrupt.set((this.#status & this.#enable) !== 0);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!(this.#enable & TIMER) || this.#status & TIMER) return;
    const at = crystal.nanoseconds((this.#overflows + 1) * 2 ** (this.#bits - 1));
    this.#timer = clock.schedule(this.#startNs + at, () => {
      this.#collect();
      this.#update();
    });
  }
}
