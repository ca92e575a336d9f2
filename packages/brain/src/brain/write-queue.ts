/** Writes to a store, one after the other, so that the callers need not wait. */
export class WriteQueue {
  #last: Promise<void> = Promise.resolve();
  #errors: unknown[] = [];
  #failed = 0;

  /** Writes that failed since the last `drain`. */
  get failed(): number {
    return this.#failed;
  }

  add(write: () => Promise<void>): void {
    this.#last = this.#last.then(write).catch((error: unknown) => {
      this.#failed += 1;
      if (this.#errors.length === 0) this.#errors.push(error);
    });
  }

  /** Waits for every write so far; throws the first error since the last call. */
  async drain(): Promise<void> {
    await this.#last;
    const [error] = this.#errors;
    this.#errors = [];
    this.#failed = 0;
    if (error !== undefined) throw error;
  }
}
