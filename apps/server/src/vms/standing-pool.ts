import { serverErrors } from "../errors.ts";

/** Processes that stand by. */
export interface Pool {
  close(): Promise<void>;
}

/** The one pool of processes that stand by: another number is another pool, and nothing opens once it is closed. */
export class StandingPool {
  readonly #open: (count: number, signal: AbortSignal) => Promise<Pool>;
  readonly #stop = new AbortController();
  #wanted = 0;
  #count = 0;
  #pool: Pool | undefined;
  #change: Promise<void> = Promise.resolve();

  /** `open` may take minutes, and may be told to give up by its signal. */
  constructor(open: (count: number, signal: AbortSignal) => Promise<Pool>) {
    this.#open = open;
  }

  /** Resolves once so many stand by, or another number has been asked for, or it is closed. */
  async resize(count: number): Promise<void> {
    this.#wanted = count;
    const change = this.#change.then(() => this.#reach());
    this.#change = change.catch(() => undefined);
    await change;
  }

  /** Resolves once nothing stands by, and nothing is on its way to. */
  async close(): Promise<void> {
    this.#stop.abort(serverErrors("QZ_SERVER_STOPPING"));
    await this.resize(0);
  }

  async #reach(): Promise<void> {
    const { signal } = this.#stop;
    const count = signal.aborted ? 0 : this.#wanted;
    if (count === this.#count) return;
    await this.#pool?.close();
    this.#pool = undefined;
    this.#count = 0;
    if (count === 0 || signal.aborted) return;
    this.#pool = await this.#open(count, signal);
    this.#count = count;
  }
}
