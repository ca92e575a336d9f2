import { MachineClock } from "./machine-clock.ts";

/** Guest time that one instruction takes in a seeded run, in nanoseconds. */
const NS_PER_INSTRUCTION = 1;
/** Where the wall clock of every seeded run begins: 2023-11-14 22:13:20 UTC. */
const SEEDED_EPOCH_MS = 1_700_000_000_000;

/** The saved state of a machine's time. */
export interface TimeState {
  readonly guestNs: number;
  /** Wall-clock time the guest saw at guest time 0, and the host's when it was saved, in milliseconds since 1970. */
  readonly epochMs: number;
  readonly savedAtMs: number;
  /** In a seeded run: guest time that passed while all processors were idle. */
  readonly idleNs: number;
}

/**
 * A machine's time: the host's, or in a seeded run the number of executed instructions and what was skipped
 * while idle.
 *
 * The host's time goes on while the machine is paused or lies on a disk: when the guest runs again, its clocks
 * have jumped ahead to the host's, as after a sleep, and never back.
 */
export class MachineTime {
  readonly clock: MachineClock;
  readonly seeded: boolean;
  readonly #instructions: () => number;
  #idleNs = 0;
  /** Host time, in milliseconds, at which guest time was 0. */
  #originMs = performance.now();
  /** Guest time while it stands still; undefined while it passes. */
  #stoppedNs: number | undefined = 0;

  /** @param instructions how many the processors have executed, the running slice counted in. */
  constructor(seeded: boolean, instructions: () => number, saved?: TimeState) {
    this.seeded = seeded;
    this.#instructions = instructions;
    const epochMs = seeded ? SEEDED_EPOCH_MS : Date.now();
    const source = (): number => this.#nowNs();
    if (saved === undefined) {
      this.clock = new MachineClock(source, epochMs);
      return;
    }
    const { guestNs } = saved;
    this.#stoppedNs = guestNs;
    this.#idleNs = saved.idleNs;
    const awayMs = seeded ? 0 : Math.max(0, Date.now() - saved.savedAtMs);
    this.#originMs = performance.now() - awayMs - guestNs / 1e6;
    this.clock = new MachineClock(source, saved.epochMs, guestNs);
  }

  /** Time passes from here on. @returns how far guest time jumped ahead, in nanoseconds. */
  start(): number {
    const before = this.#stoppedNs ?? 0;
    this.#stoppedNs = undefined;
    if (this.seeded) return 0;
    const first = before === 0;
    // A machine that was made a while ago and never ran has lost no time.
    if (first) this.#originMs = performance.now();
    this.clock.setEpochMs(Date.now());
    return first ? 0 : this.clock.nowNs() - before;
  }

  /** Guest time stands still. */
  stop(): void {
    this.#stoppedNs = this.#nowNs();
  }

  /** In a seeded run: time passes while no processor runs. */
  skip(ns: number): void {
    this.#idleNs += ns;
  }

  save(): TimeState {
    return {
      guestNs: this.clock.nowNs(),
      epochMs: this.clock.epochMs() - this.clock.nowNs() / 1e6,
      savedAtMs: Date.now(),
      idleNs: this.#idleNs,
    };
  }

  /** How many instructions may run before the next timer is due; Infinity when time is the host's. */
  get instructionsToNextTimer(): number {
    if (!this.seeded) return Infinity;
    const ns = this.clock.nextDeadlineNs() - this.clock.nowNs();
    return Math.max(1, Math.ceil(ns / NS_PER_INSTRUCTION));
  }

  #nowNs(): number {
    if (this.#stoppedNs !== undefined) return this.#stoppedNs;
    if (this.seeded) return this.#idleNs + this.#instructions() * NS_PER_INSTRUCTION;
    return (performance.now() - this.#originMs) * 1e6;
  }
}
