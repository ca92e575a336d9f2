import type { Clock, Timer } from "@queztl/memory";
import { Register } from "./apic-registers.ts";
import type { ApicRegisters } from "./apic-registers.ts";

/** What the timer needs of its local APIC and processor. */
export interface ApicTimerHost {
  readonly clock: Clock;
  /** Frequency of the timer's clock before its divider, in Hz. */
  readonly timerHz: number;
  /** Guest time at which the time-stamp counter reaches a value. */
  tscDeadlineNs(value: bigint): number;
  /** The timer's entry of the local vector table is due. */
  fire(): void;
}

/** Modes, bits 17 and 18 of the timer's entry; 0 is one-shot. */
const PERIODIC = 1;
const TSC_DEADLINE = 2;

/** What a saved local APIC has of its timer beside the registers. */
export interface ApicTimerState {
  readonly timerStartNs: number;
  readonly tscDeadline: bigint;
}

/** The timer of a local APIC: one-shot, periodic, or at a value of the time-stamp counter (Intel SDM vol. 3, 11.5.4). */
export class ApicTimer {
  readonly #registers: ApicRegisters;
  readonly #host: ApicTimerHost;
  #timer: Timer | undefined;
  #startNs = 0;
  #deadline = 0n;

  constructor(registers: ApicRegisters, host: ApicTimerHost) {
    this.#registers = registers;
    this.#host = host;
  }

  reset(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#deadline = 0n;
  }

  /** IA32_TSC_DEADLINE: 0 when it is not armed or in another mode. */
  get deadline(): bigint {
    return this.#deadline;
  }

  set deadline(value: bigint) {
    if (this.#mode !== TSC_DEADLINE) return;
    this.#deadline = value;
    this.#arm();
  }

  /** Writes the initial-count register. */
  start(count: number): void {
    if (this.#mode === TSC_DEADLINE) return;
    this.#registers.set(Register.InitialCount, count);
    this.#startNs = this.#host.clock.nowNs();
    this.#arm();
  }

  save(): ApicTimerState {
    return { timerStartNs: this.#startNs, tscDeadline: this.#deadline };
  }

  /** Goes on where it was, once the registers are restored. */
  restore(state: ApicTimerState): void {
    this.#startNs = state.timerStartNs;
    this.#deadline = state.tscDeadline;
    this.#arm();
  }

  get #mode(): number {
    return (this.#registers.get(Register.LvtTimer) >> 17) & 3;
  }

  /** Nanoseconds that one tick of the divided timer clock takes. */
  #tickNs(): number {
    const bits = this.#registers.get(Register.Divide);
    const shift = (((bits & 8) >> 1) | (bits & 3)) + 1;
    const divider = shift === 8 ? 1 : 2 ** shift;
    return (1e9 / this.#host.timerHz) * divider;
  }

  #elapsedTicks(): number {
    return Math.floor((this.#host.clock.nowNs() - this.#startNs) / this.#tickNs());
  }

  /** The current-count register. */
  get count(): number {
    const initial = this.#registers.get(Register.InitialCount);
    if (initial === 0 || this.#mode === TSC_DEADLINE) return 0;
    const elapsed = this.#elapsedTicks();
    const periodic = this.#mode === PERIODIC;
    if (periodic) return initial - (elapsed % initial);
    return Math.max(0, initial - elapsed);
  }

  /** Changes what ticks mean while keeping the count reached. */
  rebase(change: () => void): void {
    const initial = this.#registers.get(Register.InitialCount);
    const gone = initial - this.count;
    change();
    this.#startNs = this.#host.clock.nowNs() - gone * this.#tickNs();
    this.#arm();
  }

  /** Disarms it: after a change of its mode. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#registers.set(Register.InitialCount, 0);
    this.#deadline = 0n;
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#host;
    const mode = this.#mode;
    if (mode === TSC_DEADLINE) {
      if (this.#deadline === 0n) return;
      this.#timer = clock.schedule(this.#host.tscDeadlineNs(this.#deadline), () => {
        this.#timer = undefined;
        this.#deadline = 0n;
        this.#host.fire();
      });
      return;
    }
    const initial = this.#registers.get(Register.InitialCount);
    if (initial === 0) return;
    const period = initial * this.#tickNs();
    const periodic = mode === PERIODIC;
    if (!periodic && this.#elapsedTicks() >= initial) return;
    const rounds = Math.floor((clock.nowNs() - this.#startNs) / period) + 1;
    this.#timer = clock.schedule(this.#startNs + rounds * period, () => {
      this.#timer = undefined;
      this.#host.fire();
      if (periodic) this.#arm();
    });
  }
}
