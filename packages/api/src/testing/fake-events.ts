import type { z } from "zod";
import type { eventOutput } from "../schemas/events.ts";
import type { ServiceOf } from "../services.ts";
import { NOW } from "./shelf.ts";

type Event = z.input<typeof eventOutput>;

/** Events in memory, with resume. */
export class FakeEvents {
  readonly #events: Event[] = [];
  readonly #waiting = new Set<() => void>();

  emit(topic: Event["topic"], happened: string, subject: string): void {
    const id = `event-${this.#events.length + 1}`;
    const type = `${topic}.${happened}`;
    const message = `${subject} ${happened}`;
    this.#events.push({ id, at: NOW, topic, type, subject, name: null, message, details: {} });
    for (const wake of this.#waiting) wake();
  }

  readonly service: ServiceOf<"events"> = {
    subscribe: ({ topics, subject, lastEventId }, { signal }) =>
      this.#follow(
        lastEventId,
        (event) =>
          (topics?.includes(event.topic) ?? true) &&
          (subject === undefined || event.subject === subject),
        signal,
      ),
  };

  async *#follow(
    after: string | undefined,
    wanted: (event: Event) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Event> {
    const found = this.#events.findIndex(({ id }) => id === after) + 1;
    let next = after === undefined ? this.#events.length : found;
    while (!signal.aborted) {
      for (; next < this.#events.length; next += 1) {
        const event = this.#events[next];
        if (event !== undefined && wanted(event)) yield event;
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake);
      });
    }
  }
}
