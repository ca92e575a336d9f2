/** What a frame is; docs/agent-protocol.md. */
export const FrameType = {
  Request: 1,
  Reply: 2,
  Entry: 3,
  Control: 4,
  Hello: 5,
  Data: 6,
  End: 7,
  Credit: 8,
} as const;

/** The streams of a request. */
export const Stream = { Stdin: 0, Stdout: 1, Stderr: 2 } as const;
export type StreamNumber = (typeof Stream)[keyof typeof Stream];

/** The most bytes a frame carries. */
export const MAX_PAYLOAD = 32_000;
/** Bytes of a stream that may be on their way or waiting for their reader. */
export const WINDOW = 128 * 1024;
/** The most bytes a message may have that comes in several frames. */
export const MAX_MESSAGE = 4 * 1024 * 1024;

/** What an agent says that was just started: the nonce of no session. */
export const NO_SESSION = "0".repeat(16);

const HEADER = 8;
const STREAM_BITS = 0x07;
const MORE = 0x80;
const NONCE = /^[0-9a-f]{16}$/;

/** Begins a session, wherever the reader is: no frame contains these bytes. */
export const MARKER = Uint8Array.from("queztl agent v1\n", (c) => c.charCodeAt(0) | 0x80);

/** A frame that has come. */
export interface Frame {
  readonly type: number;
  readonly id: number;
  readonly stream: number;
  /** Whether further frames continue this message. */
  readonly more: boolean;
  readonly payload: Uint8Array;
}

/** The marker and the nonce of a session, 16 hexadecimal digits. */
export function encodeMarker(nonce: string): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set(MARKER);
  bytes.set(new TextEncoder().encode(nonce), MARKER.length);
  return bytes;
}

/** Frames that carry a payload: several, where it is long or contains a marker. */
export function encodeFrames(
  type: number,
  id: number,
  stream: number,
  payload: Uint8Array,
): Uint8Array {
  const ends: number[] = [];
  let at = 0;
  do {
    let end = Math.min(at + MAX_PAYLOAD, payload.length);
    const marker = indexOfMarker(payload, at);
    if (marker >= 0 && marker + MARKER.length <= end) end = marker + MARKER.length / 2;
    ends.push(end);
    at = end;
  } while (at < payload.length);
  const bytes = new Uint8Array(payload.length + ends.length * (HEADER + 1));
  const view = new DataView(bytes.buffer);
  let from = 0;
  let to = 0;
  for (const end of ends) {
    view.setUint16(to, end - from);
    view.setUint32(to + 2, id);
    view.setUint8(to + 6, stream | (end < payload.length ? MORE : 0));
    view.setUint8(to + 7, type);
    bytes.set(payload.subarray(from, end), to + HEADER);
    to += HEADER + (end - from) + 1;
    from = end;
  }
  return bytes;
}

/** Where the first marker begins at or after `from`; -1 when there is none. */
export function indexOfMarker(bytes: Uint8Array, from: number): number {
  const first = MARKER[0] as number;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (at + MARKER.length > bytes.length) return -1;
    let same = 1;
    while (same < MARKER.length && bytes[at + same] === MARKER[same]) same++;
    if (same === MARKER.length) return at;
  }
  return -1;
}

/** What a decoder found. */
export interface FrameEvents {
  readonly onFrame: (frame: Frame) => void;
  /** A session begins; what was in flight before is void. */
  readonly onMarker: (nonce: string) => void;
  /** The bytes make no sense; nothing more comes until the next marker. */
  readonly onLost: (reason: string) => void;
}

/**
 * Cuts a byte stream into frames and finds the markers in it, whatever it was cut into. It holds at most one
 * incomplete frame; any bytes at all are taken.
 */
export class FrameDecoder {
  readonly #events: FrameEvents;
  #held = new Uint8Array(0);
  #lost = true;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /** Bytes held for a frame or marker that is incomplete. */
  get pending(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
    }
    let at = 0;
    for (;;) {
      const marker = indexOfMarker(bytes, at);
      const end = marker < 0 ? bytes.length : marker;
      at = this.#frames(bytes, at, end);
      if (marker < 0) {
        // A frame's beginning, or what may be a marker's.
        if (this.#lost) at = Math.max(at, bytes.length - (MARKER.length - 1));
        break;
      }
      at = marker;
      if (bytes.length < marker + 32) break;
      const nonce = String.fromCharCode(...bytes.subarray(marker + MARKER.length, marker + 32));
      if (NONCE.test(nonce)) {
        this.#lost = false;
        at = marker + 32;
        this.#events.onMarker(nonce);
      } else {
        at = marker + 1;
        this.#lose("a marker without a session");
      }
    }
    this.#held = bytes.slice(at);
  }

  /** Takes the whole frames between two positions and returns where the rest begins. */
  #frames(bytes: Uint8Array, from: number, end: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = from;
    while (!this.#lost && end - at > HEADER) {
      const length = view.getUint16(at);
      if (length > MAX_PAYLOAD) {
        this.#lose(`a frame of ${length} bytes`);
        break;
      }
      const last = at + HEADER + length;
      if (last >= end) break;
      if (bytes[last] !== 0) {
        this.#lose("a frame without its end");
        break;
      }
      const flags = view.getUint8(at + 6);
      const frame: Frame = {
        type: view.getUint8(at + 7),
        id: view.getUint32(at + 2),
        stream: flags & STREAM_BITS,
        more: (flags & MORE) !== 0,
        payload: bytes.slice(at + HEADER, last),
      };
      at = last + 1;
      this.#events.onFrame(frame);
    }
    return at;
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#events.onLost(reason);
  }
}
