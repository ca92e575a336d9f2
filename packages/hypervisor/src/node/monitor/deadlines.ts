import type { VmLimits } from "../vm/vm-config.ts";

/** The longest time a host's timer can be set to, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** What a VM has to say of its use. */
export interface Usage {
  /** Whether somebody uses it now. */
  readonly busy: boolean;
  /** When somebody last did, by `performance.now()`. */
  readonly lastMs: number;
}

/** Ends a VM whose time is up, or which nobody uses: sets one timer, and none without such limits. */
export class Deadlines {
  readonly #limits: VmLimits;
  readonly #createdMs: number;
  readonly #usage: () => Usage;
  readonly #over: (limit: "lifetime" | "idle") => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly limits: VmLimits;
    /** In milliseconds since 1970. */
    readonly createdMs: number;
    readonly usage: () => Usage;
    readonly over: (limit: "lifetime" | "idle") => void;
  }) {
    this.#limits = options.limits;
    this.#createdMs = options.createdMs;
    this.#usage = options.usage;
    this.#over = options.over;
    this.#look();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const { lifetimeSeconds = Infinity, idleSeconds = Infinity } = this.#limits;
    const lifeMs = this.#createdMs + lifetimeSeconds * 1000 - Date.now();
    if (lifeMs <= 0) return this.#over("lifetime");
    const { busy, lastMs } = this.#usage();
    const unusedMs = busy ? 0 : performance.now() - lastMs;
    const idleMs = idleSeconds * 1000 - unusedMs;
    if (idleMs <= 0) return this.#over("idle");
    const next = Math.min(lifeMs, idleMs);
    if (next === Infinity) return;
    // A timer may be early by a millisecond.
    this.#timer = setTimeout(() => this.#look(), Math.min(LONGEST_MS, next + 1));
  }
}
