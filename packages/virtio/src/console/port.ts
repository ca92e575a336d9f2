/** How a port of the console is made. */
export interface ConsolePortOptions {
  /** What the guest finds under `/dev/virtio-ports/`, e.g. `org.queztl.agent`. */
  readonly name: string;
  /** Whether the guest makes it a terminal (`/dev/hvc0`); port 0 always is one. */
  readonly terminal?: boolean;
  /**
   * Takes what the guest wrote, a copy of at most 64 KiB; returning false means "enough for now" and holds the
   * guest's output back until `resume`.
   */
  readonly onOutput?: (bytes: Uint8Array) => boolean | void;
  /** The guest's program opened or closed its end. */
  readonly onGuestOpen?: (open: boolean) => void;
  /** There is room again after `write` took less than it was given. */
  readonly onDrain?: () => void;
}

/** The most input a port keeps for a guest that does not take it, in bytes. */
export const INPUT_BYTES = 256 * 1024;

/** The host's end of a console port. */
export class ConsolePort {
  readonly index: number;
  readonly name: string;
  readonly terminal: boolean;
  /** Whether the guest's driver knows the port, and whether a program there has it open. */
  guestReady = false;
  guestOpen = false;
  hostOpen = true;
  /** Whether output is held back. */
  paused = false;

  readonly #options: ConsolePortOptions;
  readonly #changed: (what: "input" | "output" | "open") => void;
  #input: Uint8Array[] = [];
  #inputBytes = 0;
  #full = false;

  /** @param changed called when the device has something to do for the port. */
  constructor(
    index: number,
    options: ConsolePortOptions,
    changed: (what: "input" | "output" | "open") => void,
  ) {
    this.index = index;
    this.name = options.name;
    this.terminal = index === 0 || options.terminal === true;
    this.#options = options;
    this.#changed = changed;
  }

  /**
   * Sends bytes to the guest and returns how many were taken: fewer than given when the guest does not read and
   * the port's buffer is full; then `onDrain` tells when to go on.
   */
  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, INPUT_BYTES - this.#inputBytes);
    if (taken > 0) {
      // A copy, also of a Buffer, whose own `slice` is none.
      this.#input.push(new Uint8Array(bytes.subarray(0, taken)));
      this.#inputBytes += taken;
      this.#changed("input");
    }
    this.#full ||= taken < bytes.length;
    return taken;
  }

  /** Lets output go on after `onOutput` returned false. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#changed("output");
  }

  /** Opens or closes the host's end; the guest's reads end while it is closed. */
  setOpen(open: boolean): void {
    if (this.hostOpen === open) return;
    this.hostOpen = open;
    this.#changed("open");
  }

  /** How many bytes wait for the guest. */
  get pending(): number {
    return this.#inputBytes;
  }

  /** For the device: the next input, at most `most` bytes; `taken` removes it. */
  peek(most: number): Uint8Array {
    return (this.#input[0] ?? new Uint8Array(0)).subarray(0, most);
  }

  /** For the device: the guest has the first `count` bytes. */
  taken(count: number): void {
    const first = this.#input[0];
    if (first === undefined) return;
    if (count < first.length) this.#input[0] = first.subarray(count);
    else this.#input.shift();
    this.#inputBytes -= count;
    if (this.#full && this.#inputBytes <= INPUT_BYTES / 2) {
      this.#full = false;
      this.#options.onDrain?.();
    }
  }

  /** For the device: what the guest wrote. */
  output(bytes: Uint8Array): void {
    if (this.#options.onOutput?.(bytes) === false) this.paused = true;
  }

  /** For the device: the guest opened or closed its end. */
  opened(open: boolean): void {
    if (this.guestOpen === open) return;
    this.guestOpen = open;
    this.#options.onGuestOpen?.(open);
  }

  /** For the device: all waiting input, in one piece. */
  saveInput(): Uint8Array {
    const whole = new Uint8Array(this.#inputBytes);
    let at = 0;
    for (const part of this.#input) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** For the device: replaces the waiting input. */
  restoreInput(bytes: Uint8Array): void {
    this.#input = bytes.length > 0 ? [new Uint8Array(bytes)] : [];
    this.#inputBytes = bytes.length;
    this.#full = false;
  }
}
