import type { ProcessorBootState, RegionFlags, TranslatorStatistics, VcpuState } from "@queztl/cpu";
import type { Bus, Clock, Entropy, GuestMemory } from "@queztl/memory";

/**
 * Why a vCPU's run ended: its turn was over, HLT, a PAUSE loop, waiting for a startup message, `requestStop`, a triple
 * fault.
 */
export type EngineExit = "budget" | "halt" | "yield" | "wait" | "stop" | "shutdown";

/** One virtual processor of an engine. */
export interface EngineVcpu {
  /** Runs at most `budget` instructions. */
  run(budget: number): EngineExit;
  /** Has a running `run` return "stop" soon. */
  requestStop(): void;
  reset(): void;
  /** Puts the boot processor into a boot loader's state. */
  boot(state: ProcessorBootState): void;
  /** Whether it would run if it were given a turn. */
  readonly runnable: boolean;
  /** Instructions executed since it was made, those of a running slice counted in. */
  readonly instructions: number;
  /** Time jumped ahead: a guest that asked for it is told that it was stopped. */
  wasStopped(): void;
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

/** The saved processors of a machine, the same for every engine. */
export interface ProcessorsState {
  readonly version: 1;
  readonly vcpus: readonly VcpuState[];
  /** Lowest-priority interrupts sent, by which processors take turns. */
  readonly lowestPriorityTurn: number;
}

/** The processors of one machine with their local APICs. */
export interface EngineInstance {
  readonly vcpus: readonly EngineVcpu[];
  /** What the translation of hot code did, where code is translated. */
  readonly translator?: TranslatorStatistics | undefined;
  /** Which processors run translated code now. */
  readonly regionFlags?: RegionFlags | undefined;
  deliver(message: EngineInterrupt): boolean;
  /** Connects the PIC: its INTR pin goes to the boot processor. */
  connectPic(pic: { pending(): boolean; acknowledge(): number }): void;
  /** Level of the PIC's INTR pin changed. */
  setInterruptRequest(asserted: boolean): void;
  onEndOfInterrupt(listener: (vector: number) => void): void;
  save(): ProcessorsState;
  /** After memory, clock and board. */
  restore(state: ProcessorsState): void;
}

/** A way of running guest code. */
export interface Engine {
  readonly name: string;
  /** Bytes of the guest memory's arena that the engine takes for `cpus` processors. */
  arenaBytes(cpus: number): number;
  create(board: EngineBoard): EngineInstance;
}
