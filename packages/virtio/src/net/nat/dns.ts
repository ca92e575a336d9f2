import type { Clock, Timer } from "@queztl/memory";
import type { HostSockets, HostUdp } from "./host-sockets.ts";

export const DNS_PORT = 53;
const SERVER_TIMEOUT_NS = 2e9;
const MOST_QUERIES = 128;
const HEADER_BYTES = 12;
const RESPONSE = 0x80;
const SERVER_FAILURE = 2;

/**
 * Forwards DNS queries to the host's resolvers, each from a port of its own, one resolver after another until
 * one answers. Queries nobody answers get SERVFAIL (RFC 1035, 4.1.1).
 */
export class DnsForwarder {
  readonly #sockets: HostSockets;
  readonly #clock: Clock;
  readonly #servers: readonly string[] | undefined;
  readonly #pending = new Set<() => void>();

  /** @param servers instead of the host's. */
  constructor(sockets: HostSockets, clock: Clock, servers?: readonly string[]) {
    this.#sockets = sockets;
    this.#clock = clock;
    this.#servers = servers;
  }

  /** The resolvers asked, the first one first. */
  get servers(): readonly string[] {
    return this.#servers ?? this.#sockets.nameServers();
  }

  /** Asks; `reply` gets the answer. Queries that are no queries, and those beyond 128 at once, get none. */
  ask(query: Uint8Array, reply: (answer: Uint8Array) => void): void {
    if (query.length < HEADER_BYTES || ((query[2] ?? 0) & RESPONSE) !== 0) return;
    if (this.#pending.size >= MOST_QUERIES) return;
    const { servers } = this;
    let attempt = 0;
    let timer: Timer | undefined;
    let socket: HostUdp | undefined;
    const end = (): void => {
      this.#pending.delete(end);
      timer?.cancel();
      socket?.close();
    };
    const answered = (bytes: Uint8Array): void => {
      end();
      reply(bytes);
    };
    const next = (): void => {
      const server = servers[attempt++];
      if (server === undefined) {
        answered(serverFailure(query));
        return;
      }
      socket ??= this.#sockets.openUdp((bytes, from) => {
        const ours = bytes[0] === query[0] && bytes[1] === query[1];
        if (ours && from.port === DNS_PORT && servers.includes(from.address)) answered(bytes);
      });
      socket.send(query, { address: server, port: DNS_PORT });
      timer = this.#clock.schedule(this.#clock.nowNs() + SERVER_TIMEOUT_NS, next);
    };
    this.#pending.add(end);
    next();
  }

  /** Forgets all queries. */
  close(): void {
    for (const end of this.#pending) end();
  }
}

function serverFailure(query: Uint8Array): Uint8Array {
  // The question is echoed, without additional records such as EDNS, which the counts would have to name.
  const answer = query.slice(0, questionEnd(query));
  answer[2] = ((query[2] ?? 0) & 0x79) | RESPONSE;
  answer[3] = 0x80 | SERVER_FAILURE;
  const questions = answer.length > HEADER_BYTES ? 1 : 0;
  answer.set([0, questions, 0, 0, 0, 0, 0, 0], 4);
  return answer;
}

/** Where the first question ends; the header's end when there is no whole one. */
function questionEnd(query: Uint8Array): number {
  let at = HEADER_BYTES;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return HEADER_BYTES;
    at += 1 + length;
    if (length === 0) break;
  }
  return at + 4 <= query.length ? at + 4 : HEADER_BYTES;
}
