import type { Board } from "./board.ts";
import type { EngineExit, EngineVcpu } from "./engine.ts";

/** Instructions a processor runs before another gets its turn. */
const TURN = 50_000;
/** How long the guest keeps the host's event loop waiting, in milliseconds. */
const LONGEST_BLOCK_MS = 4;

/** How often a processor gave control back, by cause, and the accesses to devices. */
export interface ExitCounts {
  /** Its turn was over. */
  readonly turn: number;
  readonly halt: number;
  /** A PAUSE loop. */
  readonly pause: number;
  /** Something asked it to stop: reset, power-off, an end. */
  readonly stop: number;
  readonly shutdown: number;
  readonly portRead: number;
  readonly portWrite: number;
  readonly mmioRead: number;
  readonly mmioWrite: number;
}

/** Gives the processors of a board their turns and its timers their time. */
export class RunLoop {
  readonly #board: Board;
  readonly #counts: Record<EngineExit, number> = {
    budget: 0,
    halt: 0,
    yield: 0,
    wait: 0,
    stop: 0,
    shutdown: 0,
  };
  #running: EngineVcpu | undefined;
  #ranMs = 0;

  constructor(board: Board) {
    this.#board = board;
  }

  get exits(): ExitCounts {
    const { ports, mmio } = this.#board;
    const { budget, halt, yield: pause, stop, shutdown } = this.#counts;
    return {
      turn: budget,
      halt,
      pause,
      stop,
      shutdown,
      portRead: ports.reads,
      portWrite: ports.writes,
      mmioRead: mmio.reads,
      mmioWrite: mmio.writes,
    };
  }

  /** Host time in which processors had turns, in seconds: what their devices do in it is counted, and translation. */
  get ranSeconds(): number {
    return this.#ranMs / 1000;
  }

  /** Has the processor that is running now, if one is, come back at once. */
  interrupt(): void {
    this.#running?.requestStop();
  }

  /**
   * Lets every processor that can run have turns, for a few milliseconds or until `stopped` says so or one
   * meets a triple fault.
   * @returns "shutdown" after a triple fault; else for how many nanoseconds of guest time nothing will be to do.
   */
  block(stopped: () => boolean): number | "shutdown" {
    const started = performance.now();
    const until = started + LONGEST_BLOCK_MS;
    try {
      return this.#turns(stopped, until);
    } finally {
      this.#ranMs += performance.now() - started;
    }
  }

  #turns(stopped: () => boolean, until: number): number | "shutdown" {
    const { time, engine } = this.#board;
    const { clock } = time;
    do {
      clock.advance();
      let ran = false;
      for (const vcpu of engine.vcpus) {
        if (!vcpu.runnable) continue;
        ran = true;
        this.#running = vcpu;
        const exit = vcpu.run(Math.min(TURN, time.instructionsToNextTimer));
        this.#running = undefined;
        this.#counts[exit]++;
        if (exit === "shutdown") return "shutdown";
        if (stopped()) return 0;
        clock.advance();
      }
      if (!ran) {
        const idleNs = clock.nextDeadlineNs() - clock.nowNs();
        if (idleNs > 0) return idleNs;
      }
      // A seeded run is paused between rounds only, so that pausing does not show in it.
    } while (performance.now() < until);
    return 0;
  }
}
