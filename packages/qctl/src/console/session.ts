import type { Readable, Writable } from "node:stream";
import {
  type ConsoleAddress,
  consoleDataFrames,
  decodeConsoleFrame,
  encodeConsoleFrame,
  LARGEST_FRAME,
} from "@queztl/api/client";
import type { QueztlError } from "@queztl/errors";
import { WebSocket } from "ws";
import { untilDetach } from "./detach-key.ts";

/** The size of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What a console is connected with. */
export interface ConsoleOptions {
  readonly address: ConsoleAddress;
  /** What is typed or piped in; the program's standard input is at its end at once where there is none. */
  readonly input: Readable | undefined;
  readonly output: Writable;
  readonly errorOutput: Writable;
  /** The byte that lets the console go. */
  readonly detachKey?: number | undefined;
  /** Tells of the terminal's new size; gives what ends it. */
  readonly onResize?: (tell: (size: TerminalSize) => void) => () => void;
  /** Lets the console go. */
  readonly signal: AbortSignal;
  /** Told once the connection stands. */
  readonly onOpen?: () => void;
}

/** How a console ended. */
export type ConsoleEnd =
  | { readonly kind: "exit"; readonly exitCode: number }
  | { readonly kind: "detached" }
  | { readonly kind: "refused"; readonly error: QueztlError }
  | { readonly kind: "lost"; readonly problem: string };

const MOST_UNSENT = 1024 * 1024;
const HANDSHAKE_MS = 30_000;

/** Carries bytes between streams and a console's WebSocket until it ends. Throws nothing. */
export function runConsole(options: ConsoleOptions): Promise<ConsoleEnd> {
  const { address, input, output, errorOutput, detachKey, onResize, signal, onOpen } = options;
  return new Promise((resolve) => {
    const socket = new WebSocket(address.url, address.protocols, {
      perMessageDeflate: false,
      maxPayload: LARGEST_FRAME + 1,
      handshakeTimeout: HANDSHAKE_MS,
      followRedirects: false,
    });
    let end: ConsoleEnd | undefined;
    let problem = "it was closed";
    let stopResizing: (() => void) | undefined;
    const send = (frame: Parameters<typeof encodeConsoleFrame>[0]) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(encodeConsoleFrame(frame));
    };
    const detach = () => {
      end ??= { kind: "detached" };
      send({ type: "detach" });
      socket.close();
    };
    const typed = (chunk: Buffer) => {
      const { before, detached } = untilDetach(chunk, detachKey);
      for (const frame of consoleDataFrames("input", before)) {
        socket.send(frame, () => {
          if (socket.bufferedAmount < MOST_UNSENT) input?.resume();
        });
      }
      if (detached) detach();
      // A program that reads slowly slows whoever types or pipes.
      else if (socket.bufferedAmount >= MOST_UNSENT) input?.pause();
    };
    const typedAll = () => send({ type: "end-of-input" });
    const show = (stream: Writable, data: Uint8Array) => {
      if (stream.write(data)) return;
      socket.pause();
      stream.once("drain", () => socket.resume());
    };
    socket.on("open", () => {
      onOpen?.();
      stopResizing = onResize?.((size) => send({ type: "resize", ...bounded(size) }));
      if (input === undefined) typedAll();
      else input.on("data", typed).on("end", typedAll).resume();
      if (signal.aborted) detach();
    });
    socket.on("message", (message: Buffer) => {
      try {
        const frame = decodeConsoleFrame(message);
        if (frame.type === "output") show(output, frame.data);
        else if (frame.type === "error-output") show(errorOutput, frame.data);
        else if (frame.type === "exit") end ??= { kind: "exit", exitCode: frame.exitCode };
        else if (frame.type === "error") end ??= { kind: "refused", error: frame.error };
        else if (frame.type === "detach") end ??= { kind: "detached" };
      } catch (failure) {
        problem = failure instanceof Error ? failure.message : String(failure);
        socket.terminate();
      }
    });
    socket.on("unexpected-response", (request, { statusCode }) => {
      problem = `the server answered HTTP ${statusCode}`;
      request.destroy();
      socket.terminate();
    });
    socket.on("error", (failure) => {
      problem = failure.message || problem;
    });
    socket.on("close", (code) => {
      signal.removeEventListener("abort", detach);
      stopResizing?.();
      input?.off("data", typed).off("end", typedAll).pause();
      resolve(end ?? { kind: "lost", problem: code === 1000 ? "it was closed" : problem });
    });
    signal.addEventListener("abort", detach);
  });
}

/** A size that the framing can carry. */
const bounded = ({ columns, rows }: TerminalSize): TerminalSize => ({
  columns: Math.min(1000, Math.max(1, columns)),
  rows: Math.min(1000, Math.max(1, rows)),
});
