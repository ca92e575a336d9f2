import { PassThrough } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EscapeKeys, connectInput } from "./terminal.ts";

/** What typed pieces come to: bytes for the guest as text, commands in brackets. */
function typed(...pieces: string[]): string {
  let seen = "";
  const keys = new EscapeKeys({
    send: (bytes) => (seen += Buffer.from(bytes).toString("latin1")),
    leave: () => (seen += "[leave]"),
    help: () => (seen += "[help]"),
  });
  for (const piece of pieces) keys.take(Buffer.from(piece, "latin1"));
  return seen;
}

test.for([
  ["plain keys", ["ls\r"], "ls\r"],
  ["Ctrl-C and Ctrl-D", ["\x03\x04"], "\x03\x04"],
  ["Ctrl-A x", ["ab\x01xcd"], "ab[leave]"],
  ["Ctrl-A X", ["\x01X"], "[leave]"],
  ["Ctrl-A x in two pieces", ["a\x01", "x"], "a[leave]"],
  ["Ctrl-A h", ["\x01hb"], "[help]b"],
  ["Ctrl-A a", ["\x01a!"], "\x01!"],
  ["Ctrl-A Ctrl-A", ["\x01\x01x"], "\x01x"],
  ["Ctrl-A and no command", ["\x01q"], "\x01q"],
] as const)("$0 → $2", ([, pieces, expected]) => {
  expect(typed(...pieces)).toBe(expected);
});

test("the same keys however they are cut → the same", () => {
  const keys = fc.string({ unit: fc.constantFrom("\x01", "a", "h", "q", "z") });
  fc.assert(
    fc.property(keys, fc.nat(20), (text, cut) => {
      expect(typed(text.slice(0, cut), text.slice(cut))).toBe(typed(text));
    }),
  );
});

test("a pipe → as it is, and not read while the guest has not taken what was sent", async () => {
  const input = new PassThrough();
  const sent: string[] = [];
  let taken: () => void = () => undefined;
  const disconnect = connectInput(input as unknown as NodeJS.ReadStream, {
    send(bytes) {
      sent.push(Buffer.from(bytes).toString());
      return new Promise((resolve) => (taken = resolve));
    },
    leave: () => sent.push("[leave]"),
    help: () => sent.push("[help]"),
  });
  input.write("a\x01x");
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual(["a\x01x"]);
  input.write("b");
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toHaveLength(1);
  taken();
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual(["a\x01x", "b"]);
  disconnect();
  expect(input.isPaused()).toBe(true);
});

test("a terminal → raw while the machine runs", () => {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (raw: boolean) => modes.push(raw),
  });
  const disconnect = connectInput(input as unknown as NodeJS.ReadStream, {
    send: async () => undefined,
    leave: () => undefined,
    help: () => undefined,
  });
  expect(modes).toEqual([true]);
  disconnect();
  expect(modes).toEqual([true, false]);
});
