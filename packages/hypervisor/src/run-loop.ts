import type { Board } from "./board.ts";
import type { EngineExit, EngineVcpu } from "./engine.ts";

/** Instructions a processor runs before another gets its turn. */
const TURN = 50_000;
/** One that is alone may take longer turns, if it is fast enough: the end of a turn costs some microseconds. */
const LONGEST_TURN = 400_000;
const LONG_TURN_MS = 0.2;
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
  #turn = TURN;

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

  /** Makes turns longer or shorter. @param ms what the last one took. */
  #fitTurn(ms: number): void {
    if (ms < LONG_TURN_MS / 2) this.#turn = Math.min(this.#turn * 2, LONGEST_TURN);
    else if (ms > LONG_TURN_MS) this.#turn = Math.max(this.#turn / 2, TURN);
  }

  #turns(stopped: () => boolean, until: number): number | "shutdown" {
    const { time, engine } = this.#board;
    const { clock } = time;
    // The length of a turn shows in a seeded run, and where processors wait for each other.
    const fits = !time.seeded && engine.vcpus.length === 1;
    do {
      clock.advance();
      let ran = false;
      for (const vcpu of engine.vcpus) {
        if (!vcpu.runnable) continue;
        ran = true;
        const began = performance.now();
        this.#running = vcpu;
        const exit = vcpu.run(Math.min(this.#turn, time.instructionsToNextTimer));
        this.#running = undefined;
        this.#counts[exit]++;
        if (exit === "budget" && fits) this.#fitTurn(performance.now() - began);
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
