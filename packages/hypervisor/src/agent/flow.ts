import { WINDOW } from "./frame.ts";
import { broken } from "./records.ts";

/** Bytes consumed before the sender is told: a few credits a window, not one for each piece. */
const CREDIT_STEP = WINDOW / 4;

/**
 * What has come on a stream and waits for its reader: never more than a window, because the sender needs credit,
 * and one that sends without is refused.
 */
export class Inbound<Item> {
  readonly #grant: (bytes: number) => void;
  #items: { readonly item: Item; readonly bytes: number }[] = [];
  #outstanding = 0;
  #consumed = 0;
  #ended = false;
  #error: { readonly cause: unknown } | undefined;
  #discarding = false;
  #waiting: (() => void) | undefined;

  /** @param grant lets the sender send that many bytes more. */
  constructor(grant: (bytes: number) => void) {
    this.#grant = grant;
  }

  /** @throws QZ_HYPERVISOR_AGENT_PROTOCOL when the sender had no credit for it. */
  push(item: Item, bytes: number): void {
    this.#outstanding += bytes;
    if (this.#outstanding > WINDOW) throw broken("more data than there is credit for");
    if (this.#ended) throw broken("data after the end of its stream");
    if (this.#discarding) return this.#consume(bytes);
    this.#items.push({ item, bytes });
    this.#wake();
  }

  /** Nothing more comes; what has come can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Reads throw this, and what comes is thrown away until it ends. */
  abandon(cause: unknown): void {
    this.#error ??= { cause };
    this.discard();
  }

  /** Throws away what has come and what will, and keeps the sender going. */
  discard(): void {
    this.#discarding = true;
    for (const { bytes } of this.#items.splice(0)) this.#consume(bytes);
    this.#wake();
  }

  /** The next item; undefined at the end. One reader at a time. */
  async read(): Promise<Item | undefined> {
    for (;;) {
      if (this.#error) throw this.#error.cause;
      const next = this.#items.shift();
      if (next) {
        this.#consume(next.bytes);
        return next.item;
      }
      if (this.#ended || this.#discarding) return undefined;
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
  }

  #consume(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < CREDIT_STEP || this.#ended) return;
    this.#outstanding -= this.#consumed;
    this.#grant(this.#consumed);
    this.#consumed = 0;
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

/** How much may be sent on a stream. */
export class Outbound {
  #credit = WINDOW;
  #closed = false;
  #waiting: (() => void)[] = [];

  /** The receiver has room again; it cannot have more than a window. */
  grant(bytes: number): void {
    this.#credit = Math.min(WINDOW, this.#credit + bytes);
    this.#wake();
  }

  /** Nobody receives any more: takes resolve to undefined. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Waits for credit and takes up to `most` bytes of it; undefined when nobody receives any more. */
  async take(most: number): Promise<number | undefined> {
    while (this.#credit <= 0 && !this.#closed)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed) return undefined;
    const taken = Math.min(most, this.#credit);
    this.#credit -= taken;
    return taken;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
