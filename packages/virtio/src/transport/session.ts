import type { DriverSession } from "../device.ts";
import type { SplitQueue } from "../ring/split-queue.ts";

/** After the host's pending events; browsers have no `setImmediate`. */
const soon: (work: () => void) => void =
  "setImmediate" in globalThis ? (work) => setImmediate(work) : (work) => setTimeout(work, 0);

/** A driver session as its transport makes it. */
export class Session implements DriverSession {
  readonly features: bigint;
  readonly direct: boolean;
  #queues: readonly (SplitQueue | undefined)[];
  #onFault: (error: unknown) => void;
  #alive = true;

  constructor(
    features: bigint,
    queues: readonly (SplitQueue | undefined)[],
    onFault: (error: unknown) => void,
    direct: boolean,
  ) {
    this.features = features;
    this.direct = direct;
    this.#queues = queues;
    this.#onFault = onFault;
  }

  get alive(): boolean {
    return this.#alive;
  }

  queue(index: number): SplitQueue | undefined {
    return this.#queues[index];
  }

  run(work: () => void): void {
    if (!this.#alive) return;
    try {
      work();
    } catch (error) {
      this.#onFault(error);
    }
  }

  later(work: () => void): void {
    soon(() => this.run(work));
  }

  hold(held: boolean): void {
    for (const queue of this.#queues) queue?.hold(held);
  }

  end(): void {
    this.#alive = false;
    for (const queue of this.#queues) queue?.close();
  }
}
