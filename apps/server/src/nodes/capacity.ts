import { availableParallelism, totalmem } from "node:os";

/** Processors and memory, of a node or of a VM. */
export interface Amount {
  readonly cpu: number;
  readonly memoryMib: number;
}

const MIB = 1_048_576;
/** Memory that the host keeps for itself. */
const GIVEN_SHARE = 0.75;
/** VMs mostly wait, so a processor is given away more than once. */
const CPU_SHARE = 2;

/** What this computer may give to VMs; a container's limit counts as the computer's memory. */
export function hostCapacity(): Amount {
  const limit = process.constrainedMemory();
  const memory = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return {
    cpu: availableParallelism() * CPU_SHARE,
    memoryMib: Math.max(64, Math.floor((memory * GIVEN_SHARE) / MIB)),
  };
}

interface Waiting {
  readonly amount: Amount;
  readonly priority: number;
  readonly order: number;
  readonly granted: () => void;
}

/**
 * What of a node is given away. Who asks waits until there is enough; of those who wait the one with the highest
 * priority comes first, then the one that came first, and nobody overtakes it, so that large ones are not starved.
 */
export class Reservations {
  #capacity: Amount;
  readonly #held = new Map<string, Amount>();
  #waiting: Waiting[] = [];
  #order = 0;
  #closed = false;

  constructor(capacity: Amount) {
    this.#capacity = capacity;
  }

  get capacity(): Amount {
    return this.#capacity;
  }

  get used(): Amount {
    let [cpu, memoryMib] = [0, 0];
    for (const amount of this.#held.values()) {
      cpu += amount.cpu;
      memoryMib += amount.memoryMib;
    }
    return { cpu, memoryMib };
  }

  /** How many small VMs there is room for beyond those that wait. */
  get room(): number {
    const { cpu } = this.used;
    return this.#closed ? 0 : Math.max(0, this.#capacity.cpu - cpu - this.#waiting.length);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether an amount can ever be had. */
  fits({ cpu, memoryMib }: Amount): boolean {
    return cpu <= this.#capacity.cpu && memoryMib <= this.#capacity.memoryMib;
  }

  /** Takes an amount at once; false where it is not free. */
  tryTake(holder: string, amount: Amount): boolean {
    if (this.#held.has(holder)) return true;
    if (this.#closed || !this.#isFree(amount)) return false;
    this.#held.set(holder, amount);
    return true;
  }

  /** Takes an amount whatever else is held: for what is found running already. */
  adopt(holder: string, amount: Amount): void {
    this.#held.set(holder, amount);
  }

  /** Takes an amount when it is free. Rejects with the signal's reason. */
  async take(
    holder: string,
    amount: Amount,
    wish: { priority: number; signal: AbortSignal },
  ): Promise<void> {
    wish.signal.throwIfAborted();
    if (this.#waiting.length === 0 && this.tryTake(holder, amount)) return;
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        reject(wish.signal.reason as Error);
        this.#grant();
      };
      const waiting: Waiting = {
        amount,
        priority: wish.priority,
        order: (this.#order += 1),
        granted: () => {
          wish.signal.removeEventListener("abort", stop);
          this.#held.set(holder, amount);
          resolve();
        },
      };
      wish.signal.addEventListener("abort", stop, { once: true });
      this.#waiting.push(waiting);
      this.#waiting.sort((a, b) => b.priority - a.priority || a.order - b.order);
      this.#grant();
    });
  }

  release(holder: string): void {
    if (this.#held.delete(holder)) this.#grant();
  }

  /** While closed nothing is given away. */
  set closed(closed: boolean) {
    this.#closed = closed;
    this.#grant();
  }

  #isFree({ cpu, memoryMib }: Amount): boolean {
    const used = this.used;
    return (
      used.cpu + cpu <= this.#capacity.cpu && used.memoryMib + memoryMib <= this.#capacity.memoryMib
    );
  }

  #grant(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#closed || !this.#isFree(next.amount)) return;
      this.#waiting.shift();
      next.granted();
    }
  }
}
