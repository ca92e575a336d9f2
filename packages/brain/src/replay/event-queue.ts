interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Things that will happen, by time; those of one instant in the order in which they were put in. */
export class EventQueue {
  readonly #heap: Event[] = [];
  #count = 0;

  push(at: number, run: () => void): void {
    const heap = this.#heap;
    const event = { at, order: this.#count++, run };
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = heap[up] as Event;
      if (before(parent, event)) break;
      heap[i] = parent;
      i = up;
    }
    heap[i] = event;
  }

  /** Runs everything due at `at` or earlier, including what the runs put in. */
  runUntil(at: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= at; next = this.#heap[0]) {
      this.#removeFirst();
      next.run();
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      const left = heap[down];
      const right = heap[down + 1];
      if (left === undefined) break;
      let child = left;
      if (right !== undefined && before(right, left)) {
        child = right;
        down += 1;
      }
      if (before(last, child)) break;
      heap[i] = child;
      i = down;
    }
    heap[i] = last;
  }
}

const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);
