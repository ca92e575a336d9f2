import type { ProcessorBootState } from "@queztl/cpu";
import type { Bus, Clock, Entropy, GuestMemory } from "@queztl/memory";

/** Why a vCPU's run ended. */
export type EngineExit = "budget" | "halt" | "yield" | "wait" | "stop" | "shutdown";

/** One virtual processor of an engine. */
export interface EngineVcpu {
  /** Runs at most `budget` instructions. */
  run(budget: number): EngineExit;
  /** Has a running `run` return soon. */
  requestStop(): void;
  reset(): void;
  /** Puts the boot processor into a boot loader's state. */
  boot(state: ProcessorBootState): void;
  /** Whether it would run if it were given a turn. */
  readonly runnable: boolean;
  /** Instructions executed since it was made. */
  readonly instructions: number;
}

/** What an engine builds its processors into. */
export interface EngineBoard {
  readonly memory: GuestMemory;
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly cpus: number;
}

/** An interrupt message as the IOAPIC and MSI writes send it. */
export interface EngineInterrupt {
  readonly vector: number;
  readonly deliveryMode: number;
  readonly destination: number;
  readonly destinationMode: "physical" | "logical";
  readonly level: boolean;
  readonly trigger: "edge" | "level";
}

/** The processors of one machine with their local APICs. */
export interface EngineInstance {
  readonly vcpus: readonly EngineVcpu[];
  deliver(message: EngineInterrupt): boolean;
  /** Connects the PIC: its INTR pin goes to the boot processor. */
  connectPic(pic: { pending(): boolean; acknowledge(): number }): void;
  /** Level of the PIC's INTR pin changed. */
  setInterruptRequest(asserted: boolean): void;
  onEndOfInterrupt(listener: (vector: number) => void): void;
}

/** A way of running guest code. */
export interface Engine {
  readonly name: string;
  /** Bytes of the guest memory's arena that the engine takes for `cpus` processors. */
  arenaBytes(cpus: number): number;
  create(board: EngineBoard): EngineInstance;
}
