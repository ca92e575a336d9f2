import { Worker } from "node:worker_threads";
import type { RegionFlags } from "@queztl/cpu";

/**
 * Looks once a millisecond, until word 0 of `control` is no longer 0, and adds the time since to the number behind it for each
 * processor that is in translated code. On a thread of its own, because the machine's runs without a break.
 */
const PROGRAM = `
const { workerData: { buffer, offsets, control } } = require("node:worker_threads");
const words = new Int32Array(buffer);
const stop = new Int32Array(control);
const sum = new Float64Array(control, 8, 1);
for (let last = performance.now(); Atomics.wait(stop, 0, 0, 1) === "timed-out"; ) {
  const now = performance.now();
  for (const offset of offsets) if (Atomics.load(words, offset >> 2) !== 0) sum[0] += now - last;
  last = now;
}
`;

/** Measures for how long a machine runs translated code, by samples. */
export class RegionSampler {
  readonly #control = new SharedArrayBuffer(16);
  readonly #worker: Worker;
  readonly #ended: Promise<void>;

  constructor({ buffer, offsets }: RegionFlags) {
    const workerData = { buffer, offsets, control: this.#control };
    const worker = new Worker(PROGRAM, { eval: true, workerData });
    // It keeps no process from its end.
    worker.unref();
    this.#worker = worker;
    this.#ended = new Promise((resolve) => {
      // Statistics are not worth a run.
      worker.once("error", () => resolve());
      worker.once("exit", () => resolve());
    });
  }

  /** Ends it. @returns seconds in translated code, of all processors together. */
  async stop(): Promise<number> {
    Atomics.store(new Int32Array(this.#control), 0, 1);
    Atomics.notify(new Int32Array(this.#control), 0);
    this.#worker.ref();
    await this.#ended;
    return (new Float64Array(this.#control, 8, 1)[0] as number) / 1000;
  }
}
