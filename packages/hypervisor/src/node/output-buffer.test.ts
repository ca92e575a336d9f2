import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { OutputBuffer } from "./output-buffer.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A stream that takes at most `limit` bytes until `release` is called. */
function slowStream(limit: number) {
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  const stream = new Writable({
    highWaterMark: limit,
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      waiting.push(done);
    },
  });
  return { stream, written, release: () => waiting.shift()?.() };
}

test("bytes one by one → one write a turn of the event loop", async () => {
  const { stream, written } = slowStream(1000);
  const output = new OutputBuffer(stream, () => undefined);
  for (const letter of "hello") output.write(Buffer.from(letter));
  await turn();
  expect(written).toEqual(["hello"]);
});

test("a stream that is full → the guest waits; drained → what was kept comes, and it goes on", async () => {
  const { stream, written, release } = slowStream(4);
  let resumed = 0;
  const output = new OutputBuffer(stream, () => resumed++, 6);
  expect(output.write(Buffer.from("abcdef"))).toBe(true);
  await turn();
  expect(output.write(Buffer.from("g"))).toBe(false);
  await turn();
  expect(written).toEqual(["abcdef"]);
  release();
  await turn();
  await turn();
  expect(written.join("")).toBe("abcdefg");
  expect(resumed).toBe(1);
  release();
});

test("a stream that asks to wait, and holds less than may wait there → the guest goes on", async () => {
  const { stream, written, release } = slowStream(1);
  const output = new OutputBuffer(stream, () => undefined, 100);
  for (let i = 0; i < 9; i++) {
    expect(output.write(Buffer.from("ten bytes!"))).toBe(true);
    await turn();
  }
  expect([written.length, stream.writableLength]).toEqual([1, 90]);
  output.write(Buffer.from("ten bytes!"));
  await turn();
  expect(output.write(Buffer.from("!"))).toBe(false);
  for (let i = 0; i < 11; i++) release();
});

test("the end → everything is out", async () => {
  const { stream, written, release } = slowStream(1);
  const output = new OutputBuffer(stream, () => undefined);
  output.write(Buffer.from("ab"));
  await turn();
  output.write(Buffer.from("cd"));
  const ended = output.end();
  for (let i = 0; i < 6; i++) {
    release();
    await turn();
  }
  await ended;
  expect(written.join("")).toBe("abcd");
});
