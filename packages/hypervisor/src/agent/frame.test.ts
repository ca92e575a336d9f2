import fc from "fast-check";
import { expect, test } from "vitest";
import {
  FrameDecoder,
  MARKER,
  MAX_PAYLOAD,
  encodeFrames,
  encodeMarker,
  indexOfMarker,
} from "./frame.ts";
import type { Frame } from "./frame.ts";

const NONCE = "0123456789abcdef";

function decoder() {
  const frames: Frame[] = [];
  const nonces: string[] = [];
  const lost: string[] = [];
  const decoder = new FrameDecoder({
    onFrame: (frame) => void frames.push(frame),
    onMarker: (nonce) => void nonces.push(nonce),
    onLost: (reason) => void lost.push(reason),
  });
  return { decoder, frames, nonces, lost };
}

const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

/** Feeds bytes in pieces whose lengths are given, again and again. */
function feed(to: FrameDecoder, bytes: Uint8Array, pieces: readonly number[]): void {
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const length = pieces[piece % pieces.length] ?? 1;
    to.push(bytes.subarray(at, at + length));
    at += length;
  }
}

/** Payloads with whole and broken markers in them. */
const payload = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constant(MARKER),
      fc.nat(15).map((length) => MARKER.subarray(0, length)),
    ),
    { maxLength: 6 },
  )
  .map((parts) => join(...parts));
const pieces = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

test("any payloads in any pieces → the same payloads; no marker but those sent", () => {
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 8 }), pieces, (payloads, lengths) => {
      const { decoder: to, frames, nonces, lost } = decoder();
      const sent = payloads.map((bytes, id) => encodeFrames(6, id, 1, bytes));
      expect(sent.every((bytes) => indexOfMarker(bytes, 0) === -1)).toBe(true);
      feed(to, join(encodeMarker(NONCE), ...sent), lengths);
      const received = payloads.map((_, id) => frames.filter((frame) => frame.id === id));
      for (const [id, bytes] of payloads.entries()) {
        const mine = received[id] ?? [];
        expect(join(...mine.map((frame) => frame.payload))).toEqual(new Uint8Array(bytes));
        expect(mine.map((frame) => frame.more)).toEqual(mine.map((_, i) => i < mine.length - 1));
      }
      expect([nonces, lost, to.pending]).toEqual([[NONCE], [], 0]);
    }),
  );
});

test("a session that breaks off anywhere, then a marker → no frame but whole ones, and the new session's", () => {
  fc.assert(
    fc.property(payload, fc.nat(), pieces, (bytes, cut, lengths) => {
      const { decoder: to, frames, nonces } = decoder();
      const whole = encodeFrames(6, 7, 0, bytes);
      const half = whole.subarray(0, cut % whole.length);
      const next = encodeFrames(2, 8, 0, Uint8Array.of(1));
      feed(to, join(encodeMarker(NONCE), half, encodeMarker("f".repeat(16)), next), lengths);
      expect(nonces).toEqual([NONCE, "f".repeat(16)]);
      expect(frames.at(-1)).toMatchObject({ id: 8, payload: Uint8Array.of(1) });
      const old = frames.slice(0, -1);
      expect(old.every((frame) => frame.id === 7)).toBe(true);
      const received = join(...old.map((frame) => frame.payload));
      expect(received).toEqual(new Uint8Array(bytes.subarray(0, received.length)));
    }),
  );
});

test("a marker that breaks off, then a whole one → the whole one's session", () => {
  for (let cut = 0; cut < 32; cut++) {
    const { decoder: to, nonces } = decoder();
    feed(to, join(encodeMarker("a".repeat(16)).subarray(0, cut), encodeMarker(NONCE)), [5]);
    expect(nonces).toEqual([NONCE]);
  }
});

test("any bytes at all → never more held than a frame, nothing thrown", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 200 }), payload)), (chunks) => {
      const { decoder: to } = decoder();
      to.push(encodeMarker(NONCE));
      for (const chunk of chunks) {
        to.push(chunk);
        expect(to.pending).toBeLessThanOrEqual(MAX_PAYLOAD + 9);
      }
    }),
  );
});

test("bytes before the first marker, a frame too long, one without its end → nothing but onLost", () => {
  const { decoder: to, frames, lost } = decoder();
  to.push(encodeFrames(6, 1, 0, new Uint8Array(10)));
  to.push(encodeMarker(NONCE));
  to.push(Uint8Array.of(0x7f, 0xff, 0, 0, 0, 1, 0, 6, 0));
  to.push(encodeMarker(NONCE));
  to.push(Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 6, 65, 66));
  expect(frames).toEqual([]);
  expect(lost).toEqual(["a frame of 32767 bytes", "a frame without its end"]);
});

test("a payload of 100,000 bytes → four frames; of none → one", () => {
  const { decoder: to, frames } = decoder();
  to.push(encodeMarker(NONCE));
  to.push(encodeFrames(6, 1, 0, new Uint8Array(100_000)));
  to.push(encodeFrames(7, 2, 0, new Uint8Array(0)));
  expect(frames.map((frame) => frame.payload.length)).toEqual([32_000, 32_000, 32_000, 4000, 0]);
});
