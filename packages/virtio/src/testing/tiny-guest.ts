import { forReceiver, NO_OFFLOADS } from "../net/offload.ts";
import type { Network, NetworkEnd } from "../net/link.ts";
import { turn } from "./driver.ts";

/*
 * A guest's network stack for tests, written from the RFCs and sharing nothing with the NAT but the
 * frames: it checks every checksum, answers ARP, and speaks UDP, ICMP echo and a plain TCP.
 */

type Bytes = Uint8Array;

const hex = (text: string): Bytes => Uint8Array.from(Buffer.from(text, "hex"));
const u16 = (n: number): number[] => [(n >> 8) & 255, n & 255];
const u32 = (n: number): number[] => [...u16(Math.floor(n / 65536) % 65536), ...u16(n % 65536)];
const read16 = (b: Bytes, at: number): number => (b[at] as number) * 256 + (b[at + 1] as number);
const read32 = (b: Bytes, at: number): number => read16(b, at) * 65536 + read16(b, at + 2);
export const ip = (text: string): number =>
  text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

/** RFC 1071, word by word. */
function internetSum(...parts: Bytes[]): number {
  let sum = 0;
  for (const part of parts)
    for (let i = 0; i < part.length; i += 2) sum += (part[i] as number) * 256 + (part[i + 1] ?? 0);
  while (sum > 65535) sum = (sum % 65536) + Math.floor(sum / 65536);
  return 65535 - sum;
}

export interface GuestOptions {
  readonly mac?: string;
  readonly address?: string;
  /** Receive window of its TCP, in bytes; default 65535 without scaling. */
  readonly window?: number;
  readonly windowScale?: number;
  /** Returns whether to lose a frame that came in. */
  readonly lose?: (frame: Bytes) => boolean;
}

export class TinyGuest {
  readonly mac: Bytes;
  address: number;
  readonly gatewayMac = hex("52550a000202");
  readonly options: GuestOptions;
  readonly end: NetworkEnd;
  /** Frames that were for nobody here. */
  readonly unclaimed: Bytes[] = [];
  readonly udp: { from: number; fromPort: number; toPort: number; data: Bytes }[] = [];
  readonly icmp: Bytes[] = [];
  readonly arp: Bytes[] = [];
  /** Resets of connections that are not there. */
  readonly resets: Bytes[] = [];
  readonly connections = new Map<string, GuestTcp>();
  readonly listeners = new Map<number, (connection: GuestTcp) => void>();
  accepts = true;
  #nextPort = 40000;

  constructor(network: Network, options: GuestOptions = {}) {
    this.options = options;
    this.mac = hex(options.mac ?? "525400123456");
    this.address = ip(options.address ?? "10.0.2.15");
    this.end = network.attach({
      deliver: (frame) => {
        for (const { bytes } of forReceiver(frame, NO_OFFLOADS)) this.#take(bytes);
      },
      hasRoom: () => this.accepts,
    });
  }

  sendRaw(bytes: Bytes): void {
    this.end.transmit({ bytes });
  }

  ethernet(type: number, body: Bytes | number[], to = this.gatewayMac): void {
    this.sendRaw(Uint8Array.from([...to, ...this.mac, ...u16(type), ...body]));
  }

  /** ARP who-has. */
  ask(address: string): void {
    const body = [0, 1, 8, 0, 6, 4, 0, 1, ...this.mac, ...u32(this.address), 0, 0, 0, 0, 0, 0];
    this.ethernet(0x0806, [...body, ...u32(ip(address))], hex("ffffffffffff"));
  }

  ipv4(protocol: number, to: number, body: Bytes, from = this.address): void {
    const header = Uint8Array.from([
      0x45,
      0,
      ...u16(20 + body.length),
      0,
      1,
      0x40,
      0,
      64,
      protocol,
      0,
      0,
      ...u32(from),
      ...u32(to),
    ]);
    header.set(u16(internetSum(header)), 10);
    this.ethernet(0x0800, Buffer.concat([header, body]));
  }

  sendUdp(to: string, toPort: number, fromPort: number, data: Bytes, from = this.address): void {
    const datagram = Uint8Array.from([
      ...u16(fromPort),
      ...u16(toPort),
      ...u16(8 + data.length),
      0,
      0,
      ...data,
    ]);
    this.ipv4(17, ip(to), datagram, from);
  }

  ping(to: string, data: Bytes): void {
    const message = Uint8Array.from([8, 0, 0, 0, 0, 7, 0, 1, ...data]);
    message.set(u16(internetSum(message)), 2);
    this.ipv4(1, ip(to), message);
  }

  /** Opens a connection; resolves when it is open or was refused. */
  async connect(to: string, port: number): Promise<GuestTcp> {
    const connection = new GuestTcp(this, ip(to), port, this.#nextPort++);
    this.connections.set(connection.key, connection);
    connection.callOut();
    await waitFor(() => connection.state !== "calling");
    return connection;
  }

  #take(frame: Bytes): void {
    if (this.options.lose?.(frame)) return;
    const type = read16(frame, 12);
    if (type === 0x0806) {
      this.arp.push(frame);
      const forUs = read32(frame, 38) === this.address && read16(frame, 20) === 1;
      if (forUs) {
        const body = [0, 1, 8, 0, 6, 4, 0, 2, ...this.mac, ...u32(this.address)];
        this.ethernet(0x0806, [...body, ...frame.subarray(22, 32)], frame.slice(6, 12));
      }
      return;
    }
    if (type !== 0x0800) {
      this.unclaimed.push(frame);
      return;
    }
    const header = frame.subarray(14, 14 + ((frame[14] as number) & 15) * 4);
    if (internetSum(header) !== 0) throw new Error("a wrong IPv4 header checksum");
    const packet = frame.subarray(14, 14 + read16(frame, 16));
    if (frame.length !== packet.length + 14)
      throw new Error("an IPv4 length that is not the frame's");
    const body = packet.subarray(header.length);
    const from = read32(packet, 12);
    const pseudo = Uint8Array.from([
      ...packet.subarray(12, 20),
      0,
      packet[9] as number,
      ...u16(body.length),
    ]);
    if (packet[9] === 1) {
      if (internetSum(body) !== 0) throw new Error("a wrong ICMP checksum");
      this.icmp.push(body);
    } else if (packet[9] === 17) {
      if ((read16(packet, 6) & 0x3fff) === 0 && internetSum(pseudo, body) !== 0)
        throw new Error("a wrong UDP checksum");
      const ports = { fromPort: read16(body, 0), toPort: read16(body, 2) };
      this.udp.push({ from, ...ports, data: body.slice(8, read16(body, 4)) });
    } else if (packet[9] === 6) {
      if (internetSum(pseudo, body) !== 0) throw new Error("a wrong TCP checksum");
      this.#tcp(from, body);
    }
  }

  #tcp(from: number, segment: Bytes): void {
    const key = `${from}:${read16(segment, 0)}:${read16(segment, 2)}`;
    const known = this.connections.get(key);
    if (known) {
      known.take(segment);
      return;
    }
    const listener = this.listeners.get(read16(segment, 2));
    const flags = segment[13] as number;
    if (listener && (flags & 0x12) === 2) {
      const connection = new GuestTcp(this, from, read16(segment, 0), read16(segment, 2));
      this.connections.set(key, connection);
      connection.answer(segment);
      listener(connection);
    } else if (flags & 4) {
      this.resets.push(segment);
    } else {
      this.unclaimed.push(segment);
      // Nobody listens: RST, as RFC 9293 says.
      const reset = Uint8Array.from([
        ...segment.subarray(2, 4),
        ...segment.subarray(0, 2),
        ...(flags & 16 ? segment.subarray(8, 12) : [0, 0, 0, 0]),
        ...u32((read32(segment, 4) + 1) % 2 ** 32),
        0x50,
        0x14,
        0,
        0,
        0,
        0,
        0,
        0,
      ]);
      this.sendTcp(from, reset);
    }
  }

  /** Fills in the checksum and sends. */
  sendTcp(to: number, segment: Bytes): void {
    const pseudo = Uint8Array.from([
      ...u32(this.address),
      ...u32(to),
      0,
      6,
      ...u16(segment.length),
    ]);
    segment.set(u16(internetSum(pseudo, segment)), 16);
    this.ipv4(6, to, segment);
  }
}

const SEGMENT = 1400;

/** One end of a TCP connection, in the guest. */
export class GuestTcp {
  state: "calling" | "open" | "reset" = "calling";
  readonly received: Bytes[] = [];
  receivedBytes = 0;
  /** The other side sent its FIN. */
  ended = false;
  /** While false, bytes are taken but the window shrinks, as when no program reads. */
  reading = true;
  unread = 0;
  readonly key: string;
  readonly #guest: TinyGuest;
  readonly #to: number;
  readonly #port: number;
  readonly #local: number;
  #sent = 1000;
  #acknowledged = 1000;
  #expected = 0;
  #window = 0;
  #shift = 0;
  #queue: Bytes[] = [];
  #finQueued = false;
  #finSent = false;

  constructor(guest: TinyGuest, to: number, port: number, local: number) {
    this.#guest = guest;
    this.#to = to;
    this.#port = port;
    this.#local = local;
    this.key = `${to}:${port}:${local}`;
  }

  get window(): number {
    return this.#window;
  }

  /** Everything sent was acknowledged. */
  get quiet(): boolean {
    return this.#queue.length === 0 && this.#sent === this.#acknowledged;
  }

  callOut(): void {
    const { windowScale } = this.#guest.options;
    const scale = windowScale === undefined ? [] : [3, 3, windowScale, 1];
    this.#sent += 1;
    this.#emit(2, new Uint8Array(0), [2, 4, ...u16(1460), ...scale], 1);
  }

  answer(syn: Bytes): void {
    this.#expected = (read32(syn, 4) + 1) % 2 ** 32;
    this.#window = read16(syn, 14);
    this.#sent += 1;
    this.#emit(0x12, new Uint8Array(0), [2, 4, ...u16(1460)], 1);
  }

  write(data: Bytes): void {
    for (let at = 0; at < data.length; at += SEGMENT)
      this.#queue.push(data.slice(at, at + SEGMENT));
    this.#flush();
  }

  /** Sends FIN after what was written. */
  close(): void {
    this.#finQueued = true;
    this.#flush();
  }

  abort(): void {
    this.state = "reset";
    this.#emit(0x14);
  }

  /** Reads everything and tells the other side of the window. */
  drain(): void {
    this.reading = true;
    this.unread = 0;
    this.#emit(0x10);
  }

  data(): Bytes {
    return Buffer.concat(this.received);
  }

  take(segment: Bytes): void {
    const flags = segment[13] as number;
    const sequence = read32(segment, 4);
    const payload = segment.subarray(((segment[12] as number) >> 4) * 4);
    if (flags & 4) {
      // RFC 5961: a reset that does not name the next byte is answered with what would be.
      if (this.state === "calling" || sequence === this.#expected) this.state = "reset";
      else this.#emit(0x10);
      return;
    }
    if (flags & 2) {
      this.#expected = (sequence + 1) % 2 ** 32;
      this.#readScale(segment);
    }
    if (flags & 16) {
      const acknowledged = read32(segment, 8);
      if (acknowledged > this.#sent) throw new Error("acknowledges what was never sent");
      this.#acknowledged = Math.max(this.#acknowledged, acknowledged);
      this.#window = read16(segment, 14) * (flags & 2 ? 1 : 2 ** this.#shift);
      if (this.state === "calling") this.state = "open";
    }
    const fresh = sequence === this.#expected;
    if (fresh && payload.length > 0) {
      this.received.push(payload.slice());
      this.receivedBytes += payload.length;
      if (!this.reading) this.unread += payload.length;
      this.#expected = (this.#expected + payload.length) % 2 ** 32;
    }
    if (flags & 1 && (sequence + payload.length) % 2 ** 32 === this.#expected && !this.ended) {
      this.#expected = (this.#expected + 1) % 2 ** 32;
      this.ended = true;
    }
    if (payload.length > 0 || flags & 3) this.#emit(0x10);
    this.#flush();
  }

  #readScale(segment: Bytes): void {
    const options = segment.subarray(20, ((segment[12] as number) >> 4) * 4);
    for (let at = 0; at < options.length;) {
      if (options[at] === 1) at += 1;
      else {
        if (options[at] === 3) this.#shift = options[at + 2] as number;
        at += options[at + 1] as number;
      }
    }
  }

  #flush(): void {
    if (this.state !== "open") return;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#sent + next.length - this.#acknowledged > this.#window) return;
      this.#sent += next.length;
      this.#queue.shift();
      this.#emit(0x18, next, [], next.length);
    }
    if (this.#finQueued && !this.#finSent) {
      this.#finSent = true;
      this.#sent += 1;
      this.#emit(0x11, new Uint8Array(0), [], 1);
    }
  }

  #emit(flags: number, payload: Bytes = new Uint8Array(0), options: number[] = [], back = 0): void {
    const { window = 65535, windowScale = 0 } = this.#guest.options;
    const free = Math.max(0, window - this.unread);
    const field = Math.min(65535, Math.floor(free / 2 ** (flags & 2 ? 0 : windowScale)));
    const head = Uint8Array.from([
      ...u16(this.#local),
      ...u16(this.#port),
      ...u32(this.#sent - back),
      ...u32(flags === 2 ? 0 : this.#expected),
      (5 + options.length / 4) * 16,
      flags,
      ...u16(field),
      0,
      0,
      0,
      0,
      ...options,
    ]);
    this.#guest.sendTcp(this.#to, Uint8Array.from(Buffer.concat([head, payload])));
  }
}

/** Waits, letting sockets and microtasks go on. */
export async function waitFor(condition: () => boolean, milliseconds = 10_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!condition()) {
    if (performance.now() > end)
      throw new Error(`not within ${milliseconds} ms: ${condition.toString()}`);
    await turn();
  }
}
