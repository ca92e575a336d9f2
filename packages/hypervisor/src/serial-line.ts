import type { Uart16550 } from "@queztl/chipset";

interface Sending {
  bytes: Uint8Array;
  readonly done: () => void;
}

/** The host's end of a guest's serial port. */
export class SerialLine {
  readonly #uart: () => Uart16550;
  readonly #wake: () => void;
  readonly #sending: Sending[] = [];
  #open = true;

  constructor(uart: () => Uart16550, wake: () => void) {
    this.#uart = uart;
    this.#wake = wake;
  }

  /**
   * Sends bytes to the guest, behind those sent before. Resolves once the guest's receiver has taken all of them,
   * or the machine has ended: wait for it before sending more, or what the guest does not read piles up here.
   */
  send(bytes: Uint8Array): Promise<void> {
    if (!this.#open || bytes.length === 0) return Promise.resolve();
    return new Promise((done) => {
      this.#sending.push({ bytes: bytes.slice(), done });
      this.pump();
    });
  }

  /** Bytes that wait for the guest. */
  get waiting(): number {
    return this.#sending.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** The host takes output again after `output` returned false. */
  resumeOutput(): void {
    this.#uart().resumeOutput();
    this.#wake();
  }

  /** Gives the guest what its receiver has room for. */
  pump(): void {
    for (let first = this.#sending[0]; first !== undefined; first = this.#sending[0]) {
      const taken = this.#uart().input(first.bytes);
      if (taken > 0) this.#wake();
      if (taken < first.bytes.length) {
        first.bytes = first.bytes.subarray(taken);
        return;
      }
      this.#sending.shift();
      first.done();
    }
  }

  /** The machine has ended: nobody takes what waits. */
  close(): void {
    this.#open = false;
    for (const { done } of this.#sending.splice(0)) done();
  }
}
