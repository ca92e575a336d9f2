import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import {
  CONSOLE_PROTOCOL,
  type ConsoleFrame,
  consoleDataFrames,
  decodeConsoleFrame,
  encodeConsoleFrame,
  TICKET_PROTOCOL_PREFIX,
} from "@queztl/api";
import { isQueztlError } from "@queztl/errors";
import type { Logger } from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import { serverErrors } from "../errors.ts";
import type { Fleet } from "../vms/fleet.ts";
import type { Opening, Tickets } from "../vms/tickets.ts";

/** What consoles are made of. */
export interface ConsoleParts {
  readonly server: Server;
  readonly tickets: Tickets;
  readonly fleet: Fleet;
  readonly corsOrigins: readonly string[];
  readonly log: Logger;
}

/** Where consoles are. */
export const CONSOLE_PATH = "/v1/consoles";

const LARGEST_MESSAGE = 65_537;
/** Beyond this much that a slow client has not taken, the guest's output waits. */
const HIGH_WATER = 1_048_576;
const BEAT_MS = 15_000;
const MOST_WAITING = 64;

/** Consoles and programs on WebSockets. Each needs a ticket, which works once. Returns what ends all of them. */
export function serveConsoles(parts: ConsoleParts): () => void {
  const { server, tickets, log } = parts;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LARGEST_MESSAGE,
    handleProtocols: (offered) => (offered.has(CONSOLE_PROTOCOL) ? CONSOLE_PROTOCOL : false),
  });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const opening = openingOf(request, tickets);
    const { origin } = request.headers;
    // Browsers send where a page came from; no page but those that may call gets a console.
    const allowed =
      origin === undefined || sameHost(origin, request) || parts.corsOrigins.includes(origin);
    if (opening === undefined || !allowed) {
      socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      serve(client, opening, parts.fleet).catch((cause: unknown) => {
        if (!isQueztlError(cause)) log.error({ err: cause, vm: opening.vm }, "a console failed");
        const error = isQueztlError(cause)
          ? cause
          : serverErrors("QZ_SERVER_VM_CRASHED", { vm: opening.vm, problem: "its console ended" });
        send(client, { type: "error", error });
        client.close(1011);
      });
    });
  };
  server.on("upgrade", onUpgrade);
  const beat = setInterval(() => {
    for (const client of sockets.clients) client.ping();
  }, BEAT_MS);
  beat.unref();
  return () => {
    clearInterval(beat);
    server.off("upgrade", onUpgrade);
    for (const client of sockets.clients) client.terminate();
    sockets.close();
  };
}

function openingOf({ url = "", headers }: IncomingMessage, tickets: Tickets): Opening | undefined {
  if (url.split("?", 1)[0] !== CONSOLE_PATH) return undefined;
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
  if (!offered.includes(CONSOLE_PROTOCOL)) return undefined;
  const ticket = offered.find((each) => each.startsWith(TICKET_PROTOCOL_PREFIX));
  return ticket === undefined
    ? undefined
    : tickets.redeem(ticket.slice(TICKET_PROTOCOL_PREFIX.length));
}

function sameHost(origin: string, { headers }: IncomingMessage): boolean {
  return URL.canParse(origin) && new URL(origin).host === headers.host;
}

async function serve(client: WebSocket, opening: Opening, fleet: Fleet): Promise<void> {
  const vm = fleet.find(opening.vm);
  if (vm === undefined)
    throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "VM", wanted: opening.vm });
  // Listened to from the start: a client may type before the guest answers.
  const frames = framesOf(client);
  if (opening.kind === "console") {
    const console = await vm.console({ ...opening.size, scrollbackBytes: opening.scrollbackBytes });
    client.once("close", () => console.close());
    // A console that is closed while it is read ends with an error; nobody is to hear of it.
    void pump(client, "output", console.output)
      .catch(() => undefined)
      .finally(() => client.close(1000));
    for await (const frame of frames) {
      if (frame.type === "input") await console.write(frame.data);
      else if (frame.type === "resize") console.resize(frame);
      else if (frame.type === "detach") break;
    }
    console.close();
    client.close(1000);
    return;
  }
  const program = await vm.run(opening.run);
  const stdin = program.stdin.getWriter();
  let over = false;
  client.once("close", () => {
    if (!over) program.kill();
  });
  const ended = (async () => {
    const [, , { exitCode, signal }] = await Promise.all([
      pump(client, "output", program.stdout),
      pump(client, "error-output", program.stderr),
      program.done,
    ]);
    over = true;
    send(client, { type: "exit", exitCode: exitCode ?? (signal === null ? 255 : 128) });
    client.close(1000);
  })();
  const typed = (async () => {
    for await (const frame of frames) {
      // A program need not read what is typed.
      if (frame.type === "input") await stdin.write(frame.data).catch(() => undefined);
      else if (frame.type === "end-of-input") await stdin.close().catch(() => undefined);
      else if (frame.type === "resize") program.resize(frame);
      else if (frame.type === "detach") client.close(1000);
    }
  })();
  await Promise.all([ended, typed]);
}

/** The client's frames from now on, until it goes. A malformed one ends the connection with its error. */
function framesOf(client: WebSocket): AsyncGenerator<ConsoleFrame> {
  const waiting: Uint8Array[] = [];
  let wake: () => void = () => undefined;
  let closed = false;
  client.on("message", (data: Buffer, isBinary) => {
    // Text is no frame of ours, as nothing is.
    waiting.push(isBinary ? data : new Uint8Array(0));
    if (waiting.length > MOST_WAITING) client.pause();
    wake();
  });
  client.on("close", () => {
    closed = true;
    wake();
  });
  client.on("error", () => client.terminate());
  return (async function* () {
    for (;;) {
      const message = waiting.shift();
      if (message !== undefined) {
        if (waiting.length === 0 && client.isPaused) client.resume();
        yield decodeConsoleFrame(message);
        continue;
      }
      if (closed) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
}

async function pump(
  client: WebSocket,
  type: "output" | "error-output",
  stream: ReadableStream<Uint8Array>,
): Promise<void> {
  for await (const piece of stream) {
    for (const frame of consoleDataFrames(type, piece)) client.send(frame);
    while (client.bufferedAmount > HIGH_WATER && client.readyState === client.OPEN) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function send(client: WebSocket, frame: ConsoleFrame): void {
  if (client.readyState === client.OPEN) client.send(encodeConsoleFrame(frame));
}
