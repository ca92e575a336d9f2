/** The longest time a host's timer can be set to, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Sleep that can be ended. A wake-up while nobody sleeps is nothing: who goes to sleep has looked at everything just
 * before, and the host's events come one at a time.
 */
export class WakeUp {
  #end: ((woken: boolean) => void) | undefined;

  wake(): void {
    this.#end?.(true);
  }

  /** Resolves after that many milliseconds with false, or sooner with true when woken. */
  sleep(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (woken: boolean): void => {
        clearTimeout(timer);
        this.#end = undefined;
        resolve(woken);
      };
      // Also where only something from outside can wake it: a machine that runs keeps its process alive.
      const timer = setTimeout(() => finish(false), Math.min(ms, LONGEST_MS));
      this.#end = finish;
    });
  }
}

/** Lets the host's other work run: timers, sockets, files. */
export function turnOfTheEventLoop(): Promise<void> {
  const immediate = (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate;
  if (immediate !== undefined) return new Promise((resolve) => immediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("message", () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(undefined);
  });
}
