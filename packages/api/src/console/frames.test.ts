import { QueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type ConsoleFrame,
  consoleDataFrames,
  decodeConsoleFrame,
  encodeConsoleFrame,
  LARGEST_FRAME,
} from "./frames.ts";

const data = fc.uint8Array({ maxLength: 200 });
const side = fc.integer({ min: 1, max: 1000 });
const frames: fc.Arbitrary<ConsoleFrame> = fc.oneof(
  fc.record({ type: fc.constantFrom("input", "output", "error-output"), data }),
  fc.record({ type: fc.constantFrom("end-of-input", "detach") }),
  fc.record({ type: fc.constant("resize"), columns: side, rows: side }),
  fc.record({ type: fc.constant("exit"), exitCode: fc.integer({ min: 0, max: 255 }) }),
);

const invalid = expect.objectContaining({ code: "QZ_API_FRAME_INVALID" });

test("any frame, encoded and decoded, also from the middle of a buffer → the same frame", () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const message = encodeConsoleFrame(frame);
      const shared = new Uint8Array(message.byteLength + 7);
      shared.set(message, 5);
      expect(decodeConsoleFrame(message)).toEqual(frame);
      expect(decodeConsoleFrame(shared.subarray(5, 5 + message.byteLength))).toEqual(frame);
    }),
  );
});

test("a frame of each type → the bytes that the README promises", () => {
  const bytes = Uint8Array.of(1, 2);
  const promised: [ConsoleFrame, number[]][] = [
    [{ type: "input", data: bytes }, [0, 1, 2]],
    [{ type: "output", data: bytes }, [1, 1, 2]],
    [{ type: "error-output", data: bytes }, [2, 1, 2]],
    [{ type: "end-of-input" }, [3]],
    [{ type: "resize", columns: 300, rows: 24 }, [4, 1, 44, 0, 24]],
    [{ type: "detach" }, [5]],
    [{ type: "exit", exitCode: 137 }, [6, 137]],
  ];
  for (const [frame, message] of promised) expect([...encodeConsoleFrame(frame)]).toEqual(message);
});

test("an error as a frame → the same code, status, message and details", () => {
  const entry = { status: "guest" as const, message: "{what} is gone" };
  const error = new QueztlError("QZ_TEST_GONE", entry, { what: "the shell", left: 2 });
  const frame = decodeConsoleFrame(encodeConsoleFrame({ type: "error", error }));
  expect(frame).toMatchObject({
    type: "error",
    error: {
      code: "QZ_TEST_GONE",
      status: "guest",
      message: "the shell is gone",
      details: { what: "the shell", left: 2 },
    },
  });
});

test("any bytes as a message → a frame that encodes to them, or QZ_API_FRAME_INVALID", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 16 }), (message) => {
      let frame: ConsoleFrame;
      try {
        frame = decodeConsoleFrame(message);
      } catch (error) {
        expect(error).toEqual(invalid);
        return;
      }
      expect(encodeConsoleFrame(frame)).toEqual(message);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["an empty message", []],
  ["an unknown type", [8]],
  ["a resize that is too short", [4, 0, 80, 0]],
  ["a resize to nothing", [4, 0, 0, 0, 24]],
  ["a resize beyond 1000", [4, 3, 233, 0, 24]],
  ["an exit with two bytes", [6, 0, 0]],
  ["a detach with a payload", [5, 1]],
  ["an error that is no JSON", [7, 123]],
  ["an error that is no UTF-8", [7, 255]],
  ["an error that says nothing", [7, 123, 125]],
])("%s → QZ_API_FRAME_INVALID", (_, message) => {
  expect(() => decodeConsoleFrame(Uint8Array.from(message))).toThrow(invalid);
});

test("a payload above the limit → refused on both sides; split → frames that hold it all", () => {
  const large = new Uint8Array(LARGEST_FRAME + 1).map((_, index) => index % 251);
  expect(() => encodeConsoleFrame({ type: "output", data: large })).toThrow(invalid);
  expect(() => decodeConsoleFrame(Uint8Array.of(1, ...large))).toThrow(invalid);
  const messages = [...consoleDataFrames("output", large)];
  expect(messages.map(({ byteLength }) => byteLength)).toEqual([LARGEST_FRAME + 1, 2]);
  const held = messages.flatMap((message) => [...message.subarray(1)]);
  expect(Uint8Array.from(held)).toEqual(large);
});

test("a size or an exit status that cannot be → refused before it is sent", () => {
  for (const frame of [
    { type: "resize", columns: 80.5, rows: 24 },
    { type: "resize", columns: 0, rows: 24 },
    { type: "exit", exitCode: -1 },
    { type: "exit", exitCode: 256 },
  ] satisfies ConsoleFrame[]) {
    expect(() => encodeConsoleFrame(frame)).toThrow(invalid);
  }
});
