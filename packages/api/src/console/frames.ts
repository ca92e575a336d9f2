import { apiErrors } from "../errors.ts";
import { fromWireError, toWireError } from "../failure/wire-error.ts";
import type { QueztlError } from "@queztl/errors";

/** The subprotocol that names version 1 of the framing; another framing will have another name. */
export const CONSOLE_PROTOCOL = "queztl.console.v1";

/** What goes before a ticket in the list of subprotocols; the server never selects it. */
export const TICKET_PROTOCOL_PREFIX = "queztl.ticket.";

/** The most bytes that one frame's payload holds. */
export const LARGEST_FRAME = 65_536;

/**
 * One message of a console's WebSocket. The client sends `input`, `end-of-input`, `resize` and
 * `detach`; the server sends `output`, `error-output`, `detach`, `exit` and `error`, and closes after
 * each of the last three.
 */
export type ConsoleFrame =
  | { readonly type: "input" | "output" | "error-output"; readonly data: Uint8Array }
  /** The program's standard input is at its end. */
  | { readonly type: "end-of-input" }
  | { readonly type: "resize"; readonly columns: number; readonly rows: number }
  /** The console is let go; what runs goes on. */
  | { readonly type: "detach" }
  /** What ran has ended: its exit status, or 128 and the signal's number. */
  | { readonly type: "exit"; readonly exitCode: number }
  | { readonly type: "error"; readonly error: QueztlError };

/*
 * A frame is one binary message: a byte for its type, then its payload.
 *
 *   0  input         bytes for the guest
 *   1  output        bytes from the guest
 *   2  error-output  bytes of a program's standard error
 *   3  end-of-input  nothing
 *   4  resize        columns, rows: unsigned 16-bit, big-endian, 1 to 1000
 *   5  detach        nothing
 *   6  exit          exit status: unsigned 8-bit
 *   7  error         JSON in UTF-8: code, status, message, details
 */
const TYPES = [
  "input",
  "output",
  "error-output",
  "end-of-input",
  "resize",
  "detach",
  "exit",
  "error",
] as const satisfies readonly ConsoleFrame["type"][];

const LARGEST_SIDE = 1000;

/** The bytes of a frame. Throws `QZ_API_FRAME_INVALID` for one that cannot be. */
export function encodeConsoleFrame(frame: ConsoleFrame): Uint8Array<ArrayBuffer> {
  const payload = payloadOf(frame);
  if (payload.byteLength > LARGEST_FRAME) throw tooLarge(payload.byteLength);
  const message = new Uint8Array(1 + payload.byteLength);
  message[0] = TYPES.indexOf(frame.type);
  message.set(payload, 1);
  return message;
}

/** The frame of a message. Its data is a view of the message. Throws `QZ_API_FRAME_INVALID`. */
export function decodeConsoleFrame(message: Uint8Array): ConsoleFrame {
  const type = message[0];
  if (type === undefined) throw invalid("is empty");
  const name = TYPES[type];
  if (name === undefined) throw invalid(`is of the unknown type ${type}`);
  const payload = message.subarray(1);
  if (payload.byteLength > LARGEST_FRAME) throw tooLarge(payload.byteLength);
  switch (name) {
    case "input":
    case "output":
    case "error-output":
      return { type: name, data: payload };
    case "end-of-input":
    case "detach":
      expectLength(name, payload, 0);
      return { type: name };
    case "resize": {
      expectLength(name, payload, 4);
      const view = new DataView(payload.buffer, payload.byteOffset, 4);
      const size = { columns: view.getUint16(0), rows: view.getUint16(2) };
      checkSize(size);
      return { type: name, ...size };
    }
    case "exit":
      expectLength(name, payload, 1);
      return { type: name, exitCode: payload[0] ?? 0 };
    case "error": {
      const error = fromWireError(parsed(payload));
      if (error === undefined) throw invalid("holds no error of this contract");
      return { type: name, error };
    }
  }
}

/** Bytes of any length as frames of one type, none larger than allowed. */
export function* consoleDataFrames(
  type: "input" | "output" | "error-output",
  data: Uint8Array,
): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  for (let at = 0; at < data.byteLength; at += LARGEST_FRAME) {
    yield encodeConsoleFrame({ type, data: data.subarray(at, at + LARGEST_FRAME) });
  }
}

const NOTHING = new Uint8Array(0);

function payloadOf(frame: ConsoleFrame): Uint8Array {
  switch (frame.type) {
    case "input":
    case "output":
    case "error-output":
      return frame.data;
    case "end-of-input":
    case "detach":
      return NOTHING;
    case "resize": {
      checkSize(frame);
      const view = new DataView(new ArrayBuffer(4));
      view.setUint16(0, frame.columns);
      view.setUint16(2, frame.rows);
      return new Uint8Array(view.buffer);
    }
    case "exit": {
      const { exitCode } = frame;
      if (!Number.isInteger(exitCode) || exitCode < 0 || exitCode > 255) {
        throw invalid(`has the exit status ${exitCode}; it is 0 to 255`);
      }
      return Uint8Array.of(exitCode);
    }
    case "error":
      return new TextEncoder().encode(JSON.stringify(toWireError(frame.error)));
  }
}

function checkSize({ columns, rows }: { columns: number; rows: number }): void {
  for (const side of [columns, rows]) {
    if (!Number.isInteger(side) || side < 1 || side > LARGEST_SIDE) {
      throw invalid(`has a size of ${columns} × ${rows}; a side is 1 to ${LARGEST_SIDE}`);
    }
  }
}

function expectLength(type: string, payload: Uint8Array, length: number): void {
  if (payload.byteLength !== length) {
    throw invalid(`of type ${type} has ${payload.byteLength} bytes instead of ${length}`);
  }
}

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch (cause) {
    throw apiErrors("QZ_API_FRAME_INVALID", { problem: "holds no JSON in UTF-8" }, { cause });
  }
}

const invalid = (problem: string) => apiErrors("QZ_API_FRAME_INVALID", { problem });
const tooLarge = (length: number) =>
  invalid(`holds ${length} bytes; the most are ${LARGEST_FRAME}`);
