import type { QueztlError } from "@queztl/errors";
import { toWireError } from "../failure/wire-error.ts";

/** What a stream of server-sent events is made of. */
export interface EventStreamOptions {
  /** Pairs of id and data. */
  readonly pieces: AsyncIterable<readonly [id: string, data: unknown, ...rest: unknown[]]>;
  /** Turns whatever ends the pieces early into what the client is told. */
  readonly coded: (failure: unknown) => QueztlError;
  /** Told when the reader has gone. */
  readonly onCancel: () => void;
}

const BEAT_MS = 10_000;

/** Server-sent events (WHATWG HTML, 9.2.5), with a comment now and then so that proxies keep them open. */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { pieces, coded, onCancel } = options;
  const iterator = pieces[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let beat: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(": open\n\n"));
      beat = setInterval(() => {
        // A reader that does not keep up needs no sign of life.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(": beat\n\n"));
      }, BEAT_MS);
    },
    async pull(controller) {
      const send = (text: string) => controller.enqueue(encoder.encode(text));
      try {
        const next = await iterator.next();
        if (next.done !== true) {
          const [id, data] = next.value;
          send(`id: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
          return;
        }
        send("event: end\ndata: {}\n\n");
      } catch (failure) {
        const error = toWireError(coded(failure));
        send(`event: error\ndata: ${JSON.stringify({ error })}\n\n`);
      }
      clearInterval(beat);
      controller.close();
    },
    async cancel() {
      clearInterval(beat);
      onCancel();
      await iterator.return?.();
    },
  });
}
