import type { Clock } from "@queztl/memory";
import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import { serveQueue } from "../ring/serve-queue.ts";
import { checkState } from "../state.ts";
import {
  EVENT_TRANSPORT_RESET,
  HOST_CID,
  Operation,
  PACKET_HEADER_BYTES,
  STREAM,
  VsockConfig,
  VsockFeature,
  formatPacketHeader,
  parsePacketHeader,
} from "./config.ts";
import type { PacketHeader } from "./config.ts";
import { VsockSocket } from "./socket.ts";
import type { VsockState } from "./state.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const EVENT = 2;
const LARGEST_PACKET = 64 * 1024;
const FIRST_PORT = 0x8000_0000;
/** Answers that wait for the guest's buffers; with more, its requests wait. */
const MOST_CONTROL = 256;
const DIAL_TIMEOUT_MS = 10_000;

/** How a socket device is made. */
export interface VsockDeviceOptions {
  /** The guest's address, 3 to 2^32 - 2. */
  readonly cid: number;
  readonly clock: Clock;
  /** Connections at once; default 256. */
  readonly maxConnections?: number;
}

/** Someone who takes connections of the guest. */
export interface VsockListener {
  close(): void;
}

interface Connection {
  readonly socket: VsockSocket;
  /** For a connection the host dials: what to do once the guest answers. */
  dial: { answered(): void; refused(): void } | undefined;
}

interface Outgoing {
  readonly localPort: number;
  readonly remotePort: number;
  readonly operation: number;
  readonly flags: number;
}

/**
 * The socket device (virtio 1.2, 5.10): streams between programs of the guest and of the host, with credit in
 * both directions. `listen` takes connections of the guest, `connect` dials it.
 */
export class VsockDevice implements VirtioDevice<VsockState> {
  readonly type = 19;
  readonly name = "vsock";
  readonly features = VsockFeature.Stream;
  readonly queueSizes = [128, 128, 16];
  readonly config: VsockConfig;
  readonly counters = { connections: 0, refused: 0, receivedBytes: 0, sentBytes: 0 };

  readonly #clock: Clock;
  readonly #most: number;
  readonly #listeners = new Map<number, (socket: VsockSocket) => void>();
  readonly #connections = new Map<string, Connection>();
  /** Sockets with data to send, in the order they get their turn. */
  readonly #ready = new Set<Connection>();
  #control: Outgoing[] = [];
  #resetPending = false;
  #pumping = false;
  #nextPort = 0;
  #session: DriverSession | undefined;

  /** @throws QZ_VIRTIO_OPTIONS */
  constructor(options: VsockDeviceOptions) {
    const { cid } = options;
    if (!(Number.isInteger(cid) && cid > HOST_CID && cid < 0xffff_ffff)) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "cid",
        value: cid,
        reason: "it must be 3 to 4294967294",
      });
    }
    this.#clock = options.clock;
    this.#most = options.maxConnections ?? 256;
    this.config = new VsockConfig(cid);
  }

  /** Takes the guest's connections to a port of the host. @throws QZ_VIRTIO_OPTIONS when it is taken. */
  listen(port: number, accept: (socket: VsockSocket) => void): VsockListener {
    if (this.#listeners.has(port)) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "port",
        value: port,
        reason: "somebody listens there already",
      });
    }
    this.#listeners.set(port, accept);
    return { close: () => void this.#listeners.delete(port) };
  }

  /**
   * Dials a port of the guest; waits for a guest that is still booting.
   * @throws QZ_VIRTIO_VSOCK_REFUSED, QZ_VIRTIO_VSOCK_TIMEOUT (guest time, 10 s by default)
   */
  connect(port: number, options: { readonly timeoutMs?: number } = {}): Promise<VsockSocket> {
    const { timeoutMs = DIAL_TIMEOUT_MS } = options;
    return new Promise((resolve, reject) => {
      const refused = (): void => {
        timer.cancel();
        reject(virtioError("QZ_VIRTIO_VSOCK_REFUSED", { port }));
      };
      const atNs = this.#clock.nowNs() + timeoutMs * 1e6;
      const timer = this.#clock.schedule(atNs, () => {
        if (connection?.dial === undefined) return;
        connection.dial = undefined;
        reject(virtioError("QZ_VIRTIO_VSOCK_TIMEOUT", { port, milliseconds: timeoutMs }));
        connection.socket.reset();
      });
      const connection = this.#open(this.#localPort(port), port);
      if (connection === undefined) {
        refused();
        return;
      }
      connection.dial = {
        answered: () => {
          timer.cancel();
          resolve(connection.socket);
        },
        refused,
      };
      this.#send(connection.socket, Operation.Request);
    });
  }

  start(session: DriverSession): void {
    this.#session = session;
    // Dialled before the driver was there, or while it started anew.
    for (const { dial, socket } of this.#connections.values())
      if (dial) this.#send(socket, Operation.Request);
  }

  notify(index: number): void {
    const session = this.#session;
    if (session === undefined) return;
    if (index === RECEIVE) {
      this.#pump(session);
      // The answers it waited for may be out.
      this.#take(session);
    } else if (index === TRANSMIT) this.#take(session);
    else if (index === EVENT) this.#tellReset(session);
  }

  stop(): void {
    this.#session = undefined;
    this.#control = [];
    this.#resetPending = false;
    for (const { dial, socket } of this.#connections.values()) if (!dial) socket.over();
    this.#control = [];
  }

  close(): Promise<void> {
    for (const { socket } of this.#connections.values()) socket.over();
    this.#listeners.clear();
    return Promise.resolve();
  }

  save(): VsockState {
    return { version: 1 };
  }

  /** The guest is told that its connections are gone and that its address may be another one. */
  restore(state: VsockState): void {
    checkState("socket device", state, 1);
    this.#resetPending = true;
  }

  #open(local: number, remote: number): Connection | undefined {
    const key = keyOf(local, remote);
    if (this.#connections.size >= this.#most || this.#connections.has(key)) return undefined;
    const connection: Connection = {
      dial: undefined,
      socket: new VsockSocket(
        { local, remote },
        {
          control: (operation, flags) => this.#send(connection.socket, operation, flags),
          output: () => {
            this.#ready.add(connection);
            this.#run();
          },
          finished: () => {
            this.#connections.delete(key);
            this.#ready.delete(connection);
            connection.dial?.refused();
          },
        },
      ),
    };
    this.#connections.set(key, connection);
    this.counters.connections++;
    return connection;
  }

  #localPort(remote: number): number {
    do this.#nextPort = (this.#nextPort + 1) % 0x7fff_ffff;
    while (this.#connections.has(keyOf(FIRST_PORT + this.#nextPort, remote)));
    return FIRST_PORT + this.#nextPort;
  }

  /** Takes what the guest sends, while there is room for the answers. */
  #take(session: DriverSession): void {
    serveQueue(session, TRANSMIT, (chain, queue) => {
      if (this.#control.length >= MOST_CONTROL) return false;
      this.#receive(chain);
      queue.complete(chain, 0);
      return true;
    });
  }

  #receive(chain: DescriptorChain): void {
    if (chain.readableBytes < PACKET_HEADER_BYTES) throw this.#refused("a packet without header");
    const header = parsePacketHeader(chain.readBytes(0, PACKET_HEADER_BYTES));
    const { length, operation, sourcePort, targetPort } = header;
    if (length > LARGEST_PACKET || PACKET_HEADER_BYTES + length > chain.readableBytes)
      throw this.#refused(`a packet that claims ${length} bytes`);
    const data = chain.readBytes(PACKET_HEADER_BYTES, length);
    const known = this.#connections.get(keyOf(targetPort, sourcePort));
    const proper =
      header.sourceCid === this.config.cid &&
      header.targetCid === HOST_CID &&
      header.type === STREAM;
    if (!proper || (known === undefined && operation !== Operation.Request)) {
      if (operation !== Operation.Reset) this.#refuse(header);
    } else if (operation === Operation.Request) {
      this.#accept(header, known);
    } else if (known !== undefined) {
      this.counters.receivedBytes += length;
      this.#dispatch(known, header, data);
    }
  }

  #accept(header: PacketHeader, known: Connection | undefined): void {
    const accept = this.#listeners.get(header.targetPort);
    const connection =
      accept === undefined || known !== undefined
        ? undefined
        : this.#open(header.targetPort, header.sourcePort);
    if (accept === undefined || connection === undefined) {
      this.counters.refused++;
      this.#refuse(header);
      return;
    }
    this.#send(connection.socket, Operation.Response);
    connection.socket.receive({ ...header, operation: Operation.CreditUpdate }, new Uint8Array(0));
    accept(connection.socket);
  }

  #dispatch(connection: Connection, header: PacketHeader, data: Uint8Array): void {
    const { dial, socket } = connection;
    if (dial === undefined) {
      socket.receive(header, data);
    } else if (header.operation === Operation.Response) {
      connection.dial = undefined;
      socket.receive(header, data);
      dial.answered();
    } else {
      socket.over();
    }
  }

  #refuse(header: PacketHeader): void {
    this.#control.push({
      localPort: header.targetPort,
      remotePort: header.sourcePort,
      operation: Operation.Reset,
      flags: 0,
    });
    this.#run();
  }

  #send(socket: VsockSocket, operation: number, flags = 0): void {
    if (this.#session === undefined) return;
    const { localPort, remotePort } = socket;
    const same = (other: Outgoing): boolean =>
      other.operation === operation &&
      other.localPort === localPort &&
      other.remotePort === remotePort;
    // Credit is told as it is when the packet goes out: one that waits says all.
    if (operation === Operation.CreditUpdate && this.#control.some(same)) return;
    this.#control.push({ localPort, remotePort, operation, flags });
    this.#run();
  }

  #run(): void {
    const session = this.#session;
    session?.run(() => this.#pump(session));
  }

  /** Fills the guest's buffers: answers first, then each socket's data in turn. */
  #pump(session: DriverSession): void {
    // What a packet's making adds (a SHUTDOWN after the last data) goes after that packet.
    if (this.#pumping || (this.#control.length === 0 && this.#ready.size === 0)) return;
    this.#pumping = true;
    try {
      this.#fill(session);
    } finally {
      this.#pumping = false;
    }
  }

  #fill(session: DriverSession): void {
    serveQueue(session, RECEIVE, (chain, queue) => {
      const room = chain.writableBytes - PACKET_HEADER_BYTES;
      if (room < 0) throw this.#refused(`a receive buffer of ${chain.writableBytes} bytes`);
      const written = this.#putControl(chain) || this.#putData(chain, room);
      if (written === 0) return false;
      queue.complete(chain, written);
      return true;
    });
  }

  #putControl(chain: DescriptorChain): number {
    const next = this.#control.shift();
    if (next === undefined) return 0;
    const socket = this.#connections.get(keyOf(next.localPort, next.remotePort))?.socket;
    chain.write(0, this.#header(next, 0, socket));
    return PACKET_HEADER_BYTES;
  }

  #putData(chain: DescriptorChain, room: number): number {
    for (const connection of this.#ready) {
      const { dial, socket } = connection;
      this.#ready.delete(connection);
      if (dial !== undefined || room === 0 || socket.sendable === 0) continue;
      const { localPort, remotePort } = socket;
      const data = socket.takeOutput(Math.min(room, LARGEST_PACKET));
      const outgoing = { localPort, remotePort, operation: Operation.Data, flags: 0 };
      chain.write(0, this.#header(outgoing, data.length, socket));
      chain.write(PACKET_HEADER_BYTES, data);
      this.counters.sentBytes += data.length;
      if (socket.sendable > 0) this.#ready.add(connection);
      return PACKET_HEADER_BYTES + data.length;
    }
    return 0;
  }

  #header(outgoing: Outgoing, length: number, socket: VsockSocket | undefined): Uint8Array {
    return formatPacketHeader({
      sourceCid: HOST_CID,
      targetCid: this.config.cid,
      sourcePort: outgoing.localPort,
      targetPort: outgoing.remotePort,
      length,
      type: STREAM,
      operation: outgoing.operation,
      flags: outgoing.flags,
      ...(socket?.credit() ?? { bufferBytes: 0, forwarded: 0 }),
    });
  }

  #tellReset(session: DriverSession): void {
    if (!this.#resetPending) return;
    serveQueue(session, EVENT, (chain, queue) => {
      if (!this.#resetPending) return false;
      this.#resetPending = false;
      chain.write(0, Uint8Array.of(EVENT_TRANSPORT_RESET, 0, 0, 0));
      queue.complete(chain, 4);
      return true;
    });
  }

  #refused(reason: string): Error {
    return virtioError("QZ_VIRTIO_REQUEST", { device: this.name, reason });
  }
}

function keyOf(local: number, remote: number): string {
  return `${local}:${remote}`;
}
