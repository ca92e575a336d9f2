/** One event of a `text/event-stream`. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
  /** The last id that was seen, this event's own or an earlier one's. */
  readonly id: string;
}

const LARGEST_EVENT = 8 * 1024 * 1024;

/**
 * The events of a `text/event-stream` (WHATWG HTML, 9.2.6). An unfinished event at the end is dropped,
 * as it says there. Throws a `RangeError` for an event of more than 8 MiB characters.
 */
export async function* readEventStream(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamEvent, void, undefined> {
  let type = "";
  let id = "";
  let data: string[] = [];
  let size = 0;
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield { type: type || "message", data: data.join("\n"), id };
      type = "";
      data = [];
      size = 0;
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "data") {
      size += value.length + 1;
      if (size > LARGEST_EVENT) throw new RangeError("an event is too large");
      data.push(value);
    }
  }
}

/** Lines that end in CR, LF or both; what follows the last end is no line. */
async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      // A CR at the end may be half of a CRLF: wait for what follows.
      const held = !done && rest.endsWith("\r") ? 1 : 0;
      const parts = rest.slice(0, rest.length - held).split(/\r\n|\n|\r/);
      rest = (parts.pop() ?? "") + "\r".repeat(held);
      yield* parts;
      if (done) return;
      if (rest.length > LARGEST_EVENT) throw new RangeError("a line is too long");
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
