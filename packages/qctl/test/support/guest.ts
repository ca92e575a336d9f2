import { spawn } from "node:child_process";
import type { Server } from "node:http";
import {
  CONSOLE_PROTOCOL,
  type ConsoleFrame,
  decodeConsoleFrame,
  encodeConsoleFrame,
} from "@queztl/api";
import { spawn as spawnTerminal } from "@lydell/node-pty";
import { type WebSocket, WebSocketServer } from "ws";

/** What a guest runs for a console: a program of this computer, in a terminal or without one. */
export interface GuestProgram {
  readonly command: readonly string[];
  readonly terminal: boolean;
}

/** A guest's consoles on a test server: each WebSocket runs `next` as a program here. */
export interface Guest {
  next: GuestProgram;
  /** Every frame that clients have sent. */
  readonly received: ConsoleFrame[];
  /** Cuts all connections without a word, as a lost network does. */
  cut(): void;
}

export function serveGuest(server: Server): Guest {
  const sockets = new WebSocketServer({
    server,
    handleProtocols: () => CONSOLE_PROTOCOL,
    maxPayload: 65_537,
  });
  const guest: Guest = {
    next: { command: ["cat"], terminal: false },
    received: [],
    cut: () => {
      for (const socket of sockets.clients) socket.terminate();
    },
  };
  sockets.on("connection", (socket) => {
    const send = (frame: ConsoleFrame) => {
      if (socket.readyState === socket.OPEN) socket.send(encodeConsoleFrame(frame));
    };
    const handle = guest.next.terminal
      ? inTerminal(socket, guest.next.command, send)
      : asChild(socket, guest.next.command, send);
    socket.on("message", (message: Buffer) => {
      const frame = decodeConsoleFrame(message);
      guest.received.push(frame);
      handle(frame);
    });
  });
  return guest;
}

type Send = (frame: ConsoleFrame) => void;

function inTerminal(socket: WebSocket, command: readonly string[], send: Send) {
  const terminal = spawnTerminal(command[0] ?? "sh", command.slice(1), { cols: 80, rows: 24 });
  terminal.onData((text) => send({ type: "output", data: Buffer.from(text) }));
  terminal.onExit(({ exitCode }) => {
    send({ type: "exit", exitCode });
    socket.close();
  });
  socket.on("close", () => terminal.kill());
  return (frame: ConsoleFrame) => {
    if (frame.type === "input") terminal.write(Buffer.from(frame.data).toString("utf8"));
    if (frame.type === "resize") terminal.resize(frame.columns, frame.rows);
    if (frame.type === "detach") socket.close();
  };
}

function asChild(socket: WebSocket, command: readonly string[], send: Send) {
  const child = spawn(command[0] ?? "cat", command.slice(1));
  child.stdout.on("data", (data: Buffer) => send({ type: "output", data }));
  child.stderr.on("data", (data: Buffer) => send({ type: "error-output", data }));
  child.on("close", (code) => {
    send({ type: "exit", exitCode: code ?? 137 });
    socket.close();
  });
  socket.on("close", () => child.kill());
  return (frame: ConsoleFrame) => {
    if (frame.type === "input") child.stdin.write(frame.data);
    if (frame.type === "end-of-input") child.stdin.end();
    if (frame.type === "detach") socket.close();
  };
}
