import fc from "fast-check";
import { expect, test } from "vitest";
import { readEventStream, type StreamEvent } from "./event-stream.ts";

async function eventsOf(text: string, cuts: readonly number[] = []): Promise<StreamEvent[]> {
  const bytes = new TextEncoder().encode(text);
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      let from = 0;
      for (const end of ends) {
        if (end > from) controller.enqueue(bytes.slice(from, end));
        from = Math.max(from, end);
      }
      controller.close();
    },
  });
  const events: StreamEvent[] = [];
  for await (const event of readEventStream(body)) events.push(event);
  return events;
}

// Of the standard's own examples (WHATWG HTML, 9.2.6).
test.each<[string, string, StreamEvent[]]>([
  [
    "two lines of data",
    "data: YHOO\ndata: +2\n\n",
    [{ type: "message", data: "YHOO\n+2", id: "" }],
  ],
  [
    "a comment, ids, an id without a value",
    ": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
    [
      { type: "message", data: "first", id: "1" },
      { type: "message", data: "second", id: "" },
      { type: "message", data: " third", id: "" },
    ],
  ],
  [
    "empty data, and data that is not finished",
    "data\n\ndata\ndata\n\ndata:",
    [
      { type: "message", data: "", id: "" },
      { type: "message", data: "\n", id: "" },
    ],
  ],
  ["an event without data", "event: ping\n\n", []],
  [
    "a type",
    "event: add\ndata: 1\n\ndata: 2\n\n",
    [
      { type: "add", data: "1", id: "" },
      { type: "message", data: "2", id: "" },
    ],
  ],
  [
    "an id that holds over events",
    "id: 7\ndata: a\n\ndata: b\n\n",
    [
      { type: "message", data: "a", id: "7" },
      { type: "message", data: "b", id: "7" },
    ],
  ],
  [
    "other ends of lines",
    "data: a\r\rdata: b\r\n\r\n",
    [
      { type: "message", data: "a", id: "" },
      { type: "message", data: "b", id: "" },
    ],
  ],
])("%s → as the standard says", async (_, text, events) => {
  expect(await eventsOf(text)).toEqual(events);
});

test("a stream cut anywhere, also within a character or a CRLF → the same events", async () => {
  const text = "id: é1\r\nevent: ü\r\ndata: 日本\r\n\r\n: c\n\ndata: 𝄞\n\n";
  const whole = await eventsOf(text);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 8 }), async (cuts) => {
      expect(await eventsOf(text, cuts)).toEqual(whole);
    }),
    { numRuns: 50 },
  );
});

test("an event without end → a RangeError instead of all memory", async () => {
  await expect(eventsOf(`data: ${"a".repeat(9 * 1024 * 1024)}`)).rejects.toThrow(RangeError);
});
