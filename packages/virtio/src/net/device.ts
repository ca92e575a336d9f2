import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import { serveQueue } from "../ring/serve-queue.ts";
import type { SplitQueue } from "../ring/split-queue.ts";
import {
  ControlClass,
  ControlResult,
  GUEST_OFFLOADS_SET,
  HeaderFlag,
  MacCommand,
  NET_FEATURE_NEEDS,
  NET_HEADER_BYTES,
  NetConfig,
  NetFeature,
  RxCommand,
  SegmentationType,
} from "./config.ts";
import { MAX_FRAME, MIN_FRAME, isGroup, macAt } from "./link.ts";
import type { Frame, LostConnection, Network, NetworkEnd, Offload } from "./link.ts";
import { forReceiver } from "./offload.ts";
import type { Offloads } from "./offload.ts";
import { MAX_CONNECTIONS, MAX_FILTER, checkNetState } from "./state.ts";
import type { NetState } from "./state.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const CONTROL = 2;
/** Frames that wait for the guest's buffers: at most this many bytes of them. */
const WAITING_BYTES = 1024 * 1024;
const MAX_CONTROL_BYTES = 16 * 1024;

/** How a network device is made. */
export interface NetDeviceOptions {
  readonly network: Network;
  /** `52:54:00:12:34:56`; not a group address. */
  readonly mac: string;
  /** The largest IP packet the guest shall send, 68 to 65535; default 1500. */
  readonly mtu?: number;
  readonly queueSize?: number;
}

/**
 * The network device (virtio 1.2, 5.1). It takes segments of up to 64 KiB without checksums from a guest and
 * gives them to one that agreed to that; for other receivers they are cut and summed here.
 */
export class NetDevice implements VirtioDevice<NetState> {
  readonly type = 1;
  readonly name = "net";
  readonly features: bigint =
    NetFeature.Checksum |
    NetFeature.GuestChecksum |
    NetFeature.ControlGuestOffloads |
    NetFeature.Mtu |
    NetFeature.Mac |
    NetFeature.GuestTso4 |
    NetFeature.GuestTso6 |
    NetFeature.HostTso4 |
    NetFeature.HostTso6 |
    NetFeature.MergeableBuffers |
    NetFeature.Status |
    NetFeature.ControlQueue |
    NetFeature.ControlRx |
    NetFeature.ControlMac;
  readonly queueSizes: readonly number[];
  readonly config: NetConfig;
  readonly counters = {
    transmittedFrames: 0,
    transmittedBytes: 0,
    receivedFrames: 0,
    receivedBytes: 0,
    droppedFrames: 0,
    badFrames: 0,
  };

  readonly #network: NetworkEnd;
  readonly #mac: number;
  #session: DriverSession | undefined;
  #waiting: Frame[] = [];
  #waitingBytes = 0;
  #wasFull = false;
  #filter: { mac: number; promiscuous: boolean; allMulticast: boolean; table: number[] };
  #guestOffloads: bigint | undefined;
  /** Of a restored guest that was not told yet. */
  #lost: readonly LostConnection[] = [];

  /** @throws QZ_VIRTIO_OPTIONS */
  constructor(options: NetDeviceOptions) {
    const { mtu = 1500, queueSize = 256 } = options;
    if (!(Number.isInteger(mtu) && mtu >= 68 && mtu <= 65535))
      throw badOption("mtu", mtu, "it must be 68 to 65535");
    this.#mac = parseMac(options.mac);
    this.#filter = this.#defaultFilter();
    this.queueSizes = [queueSize, queueSize, 64];
    this.config = new NetConfig({ mac: this.#mac, mtu });
    this.#network = options.network.attach({
      deliver: (frame) => this.#deliver(frame),
      hasRoom: () => this.#hasRoom(),
    });
  }

  /** Plugs the cable in or out. */
  setLink(up: boolean): void {
    this.config.linkUp = up;
    this.config.changed();
  }

  acceptsFeatures(features: bigint): boolean {
    return NET_FEATURE_NEEDS.every(
      ([feature, needed]) => (features & feature) === 0n || (features & needed) !== 0n,
    );
  }

  start(session: DriverSession): void {
    this.#session = session;
    const lost = this.#lost;
    this.#lost = [];
    if (lost.length > 0) this.#network.lost?.(lost);
  }

  notify(index: number): void {
    const session = this.#session;
    if (session === undefined) return;
    if (index === TRANSMIT) {
      serveQueue(session, TRANSMIT, (chain, queue) => {
        this.#transmit(chain);
        queue.complete(chain, 0);
        return true;
      });
    } else if (index === RECEIVE) {
      this.#fill();
    } else if (index === CONTROL) {
      serveQueue(session, CONTROL, (chain, queue) => this.#control(chain, queue));
    }
  }

  stop(): void {
    const running = this.#session !== undefined;
    this.#session = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#wasFull = false;
    this.#filter = this.#defaultFilter();
    this.#guestOffloads = undefined;
    this.#lost = [];
    if (running) this.#network.reset();
  }

  close(): Promise<void> {
    this.#network.detach();
    return Promise.resolve();
  }

  save(): NetState {
    return {
      version: 1,
      linkUp: this.config.linkUp,
      filter: { ...this.#filter, table: [...this.#filter.table] },
      guestOffloads: this.#guestOffloads,
      connections: this.#network.connections?.().slice(0, MAX_CONNECTIONS) ?? [],
    };
  }

  restore(state: NetState): void {
    checkNetState(state);
    this.config.linkUp = state.linkUp;
    this.#filter = { ...state.filter, table: [...state.filter.table] };
    this.#guestOffloads = state.guestOffloads;
    this.#lost = state.connections ?? [];
  }

  get #features(): bigint {
    return this.#session?.features ?? 0n;
  }

  #defaultFilter(): { mac: number; promiscuous: boolean; allMulticast: boolean; table: number[] } {
    // Until the driver says what it wants it gets what is for it and for all.
    return { mac: this.#mac, promiscuous: false, allMulticast: true, table: [] };
  }

  #transmit(chain: DescriptorChain): void {
    const length = chain.readableBytes - NET_HEADER_BYTES;
    if (length < MIN_FRAME || length > MAX_FRAME) {
      this.counters.badFrames++;
      return;
    }
    const header = chain.readBytes(0, NET_HEADER_BYTES);
    const bytes = chain.readBytes(NET_HEADER_BYTES, length);
    const offload = this.#offloadOf(header, length);
    if (offload === "bad") {
      this.counters.badFrames++;
      return;
    }
    this.counters.transmittedFrames++;
    this.counters.transmittedBytes += length;
    if (this.config.linkUp) this.#network.transmit(offload ? { bytes, offload } : { bytes });
  }

  /** What the header leaves to the device, if it was agreed and fits the frame. */
  #offloadOf(header: Uint8Array, length: number): Offload | undefined | "bad" {
    const view = new DataView(header.buffer, header.byteOffset);
    const type = (header[1] ?? 0) & ~SegmentationType.Ecn;
    if (((header[0] ?? 0) & HeaderFlag.NeedsChecksum) === 0)
      return type === SegmentationType.None ? undefined : "bad";
    const start = view.getUint16(6, true);
    const offset = view.getUint16(8, true);
    if ((this.#features & NetFeature.Checksum) === 0n || start + offset + 2 > length) return "bad";
    if (type === SegmentationType.None) return { checksum: { start, offset } };
    const ip = type === SegmentationType.Tcp4 ? 4 : 6;
    const needed = ip === 4 ? NetFeature.HostTso4 : NetFeature.HostTso6;
    const payloadBytes = view.getUint16(4, true);
    if (type !== SegmentationType.Tcp4 && type !== SegmentationType.Tcp6) return "bad";
    // A guest that wants its 64 KiB cut into single bytes wants the monitor to do 65536 frames of work.
    if ((this.#features & needed) === 0n || payloadBytes < 64) return "bad";
    return { checksum: { start, offset }, segment: { ip, payloadBytes } };
  }

  #hasRoom(): boolean {
    const room = this.#waitingBytes < WAITING_BYTES;
    if (!room) this.#wasFull = true;
    return room;
  }

  #deliver(frame: Frame): void {
    const session = this.#session;
    if (session === undefined || !this.config.linkUp || !this.#wants(frame)) {
      this.counters.droppedFrames++;
      return;
    }
    for (const part of forReceiver(frame, this.#offloads())) {
      if (this.#waitingBytes >= WAITING_BYTES) {
        this.counters.droppedFrames++;
        continue;
      }
      this.#waiting.push(part);
      this.#waitingBytes += part.bytes.length;
    }
    session.run(() => this.#fill());
  }

  /** Whether the driver's filter lets a frame in. */
  #wants({ bytes }: Frame): boolean {
    const { mac, promiscuous, allMulticast, table } = this.#filter;
    const target = macAt(bytes, 0);
    if (promiscuous || target === mac || target === 0xffff_ffff_ffff) return true;
    return (isGroup(target) && allMulticast) || table.includes(target);
  }

  #offloads(): Offloads {
    const on = (feature: bigint): boolean =>
      ((this.#guestOffloads ?? this.#features) & this.#features & feature) !== 0n;
    return {
      checksum: on(NetFeature.GuestChecksum),
      segment4: on(NetFeature.GuestTso4),
      segment6: on(NetFeature.GuestTso6),
    };
  }

  /** Puts waiting frames into the guest's buffers. */
  #fill(): void {
    const queue = this.#session?.queue(RECEIVE);
    if (queue === undefined) return;
    let filled = 0;
    for (; filled < this.#waiting.length; filled++) {
      const frame = this.#waiting[filled] as Frame;
      if (!this.#put(queue, frame)) break;
      this.#waitingBytes -= frame.bytes.length;
    }
    if (filled === 0) return;
    this.#waiting = this.#waiting.slice(filled);
    queue.publish();
    if (!this.#wasFull || this.#waitingBytes > WAITING_BYTES / 2) return;
    this.#wasFull = false;
    this.#network.roomAvailable();
  }

  /** Puts one frame into as many buffers as it needs; false when there are not enough yet. */
  #put(queue: SplitQueue, frame: Frame): boolean {
    const { bytes } = frame;
    const total = NET_HEADER_BYTES + bytes.length;
    const mergeable = (this.#features & NetFeature.MergeableBuffers) !== 0n;
    const chains: DescriptorChain[] = [];
    let room = 0;
    while (room < total) {
      const chain = queue.pop();
      if (chain === undefined) {
        for (const taken of chains.toReversed()) queue.putBack(taken);
        return false;
      }
      if (chain.writableBytes < NET_HEADER_BYTES) {
        throw virtioError("QZ_VIRTIO_REQUEST", {
          device: this.name,
          reason: `a receive buffer of ${chain.writableBytes} bytes has no room for the header`,
        });
      }
      chains.push(chain);
      room += chain.writableBytes;
      if (!mergeable) break;
    }
    const [first] = chains;
    if (first === undefined) return false;
    if (room < total) {
      queue.putBack(first);
      this.counters.droppedFrames++;
      return true;
    }
    first.write(0, headerOf(frame, chains.length));
    let at = 0;
    for (const chain of chains) {
      const skip = chain === first ? NET_HEADER_BYTES : 0;
      const length = Math.min(chain.writableBytes - skip, bytes.length - at);
      chain.write(skip, bytes.subarray(at, at + length));
      queue.complete(chain, skip + length);
      at += length;
    }
    this.counters.receivedFrames++;
    this.counters.receivedBytes += bytes.length;
    return true;
  }

  #control(chain: DescriptorChain, queue: SplitQueue): boolean {
    if (
      chain.readableBytes < 2 ||
      chain.writableBytes < 1 ||
      chain.readableBytes > MAX_CONTROL_BYTES
    ) {
      throw virtioError("QZ_VIRTIO_REQUEST", {
        device: this.name,
        reason: `a control command of ${chain.readableBytes} bytes`,
      });
    }
    const command = chain.readBytes(0, chain.readableBytes);
    const ok = this.#command(command[0] ?? 0, command[1] ?? 0, command.subarray(2));
    chain.write(0, Uint8Array.of(ok ? ControlResult.Ok : ControlResult.Error));
    queue.complete(chain, 1);
    return true;
  }

  #command(kind: number, command: number, data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    if (kind === ControlClass.Rx && data.length === 1) {
      if (command === RxCommand.Promiscuous) this.#filter.promiscuous = data[0] !== 0;
      else if (command === RxCommand.AllMulticast) this.#filter.allMulticast = data[0] !== 0;
      else return false;
      return true;
    }
    if (kind === ControlClass.Mac && command === MacCommand.AddressSet && data.length === 6) {
      this.#filter.mac = macAt(data, 0);
      return true;
    }
    if (kind === ControlClass.Mac && command === MacCommand.TableSet) return this.#setTable(data);
    if (
      kind === ControlClass.GuestOffloads &&
      command === GUEST_OFFLOADS_SET &&
      data.length === 8
    ) {
      const wanted = view.getBigUint64(0, true);
      if (wanted & ~this.#features) return false;
      this.#guestOffloads = wanted;
      return true;
    }
    return false;
  }

  /** Two lists of addresses, unicast and multicast, each after its length. */
  #setTable(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const table: number[] = [];
    let at = 0;
    for (let list = 0; list < 2; list++) {
      if (at + 4 > data.length) return false;
      const count = view.getUint32(at, true);
      at += 4;
      if (at + count * 6 > data.length) return false;
      for (let i = 0; i < count; i++, at += 6) table.push(macAt(data, at));
    }
    if (at !== data.length) return false;
    const tooMany = table.length > MAX_FILTER;
    this.#filter.table = tooMany ? [] : table;
    this.#filter.allMulticast = tooMany;
    return true;
  }
}

/** The header before a received frame. */
function headerOf({ bytes, offload }: Frame, buffers: number): Uint8Array {
  const header = new Uint8Array(NET_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint16(10, buffers, true);
  if (offload === undefined) return header;
  const { checksum, segment } = offload;
  header[0] = HeaderFlag.NeedsChecksum;
  view.setUint16(6, checksum.start, true);
  view.setUint16(8, checksum.offset, true);
  if (segment === undefined) return header;
  header[1] = segment.ip === 4 ? SegmentationType.Tcp4 : SegmentationType.Tcp6;
  const tcpHeader = ((bytes[checksum.start + 12] ?? 0) >>> 4) * 4;
  view.setUint16(2, checksum.start + tcpHeader, true);
  view.setUint16(4, segment.payloadBytes, true);
  return header;
}

/** @throws QZ_VIRTIO_OPTIONS */
function parseMac(text: string): number {
  const parts = text.split(":");
  const mac = parts.reduce((sum, part) => sum * 256 + Number.parseInt(part, 16), 0);
  const wellFormed = parts.length === 6 && parts.every((part) => /^[0-9a-f]{2}$/i.test(part));
  if (!wellFormed || isGroup(mac) || mac === 0)
    throw badOption("mac", text, "give six bytes in hexadecimal, of one station");
  return mac;
}

function badOption(option: string, value: string | number, reason: string): Error {
  return virtioError("QZ_VIRTIO_OPTIONS", { option, value, reason });
}
