import { macAt } from "../link.ts";

/** What leases say besides the address. */
export interface LeaseOptions {
  readonly mask: number;
  readonly gateway: number;
  readonly nameServer: number;
  readonly mtu: number;
  readonly domain: string | undefined;
}

/** A reply: to whom, with which address, and the BOOTP message. */
export interface DhcpReply {
  readonly targetMac: number;
  /** 255.255.255.255 or the address that is leased. */
  readonly target: number;
  readonly message: Uint8Array;
}

const MAGIC = 0x6382_5363;
const BROADCAST_FLAG = 0x8000;
const LEASE_SECONDS = 24 * 3600;
const EVERYONE = 0xffff_ffff;
const Message = {
  Discover: 1,
  Offer: 2,
  Request: 3,
  Ack: 5,
  Nak: 6,
  Release: 7,
  Inform: 8,
} as const;
const Option = {
  Mask: 1,
  Router: 3,
  NameServer: 6,
  Domain: 15,
  Mtu: 26,
  RequestedAddress: 50,
  LeaseTime: 51,
  MessageType: 53,
  Server: 54,
  End: 255,
} as const;

/** Leases addresses of a pool (RFC 2131); a MAC address keeps its lease for the network's life. */
export class DhcpServer {
  readonly #pool: { readonly first: number; readonly last: number };
  readonly #options: LeaseOptions;
  readonly #leases = new Map<number, number>();

  constructor(pool: { readonly first: number; readonly last: number }, options: LeaseOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** The leases so far: MAC address to IPv4 address. */
  get leases(): ReadonlyMap<number, number> {
    return this.#leases;
  }

  /** Answers a client's message; undefined when there is nothing to say. */
  answer(request: Uint8Array): DhcpReply | undefined {
    if (request.length < 244) return undefined;
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
    if (request[0] !== 1 || request[1] !== 1 || request[2] !== 6 || view.getUint32(236) !== MAGIC)
      return undefined;
    const options = readOptions(request);
    const type = options.get(Option.MessageType)?.[0];
    const mac = macAt(request, 28);
    const server = addressIn(options.get(Option.Server));
    if (type === Message.Release) {
      // A lease that was given back stays this client's: nothing else asks for it in a small network.
      return undefined;
    }
    if (type === Message.Inform) return this.#reply(request, Message.Ack, 0);
    const lease = this.#lease(mac);
    if (type === Message.Discover && lease !== undefined)
      return this.#reply(request, Message.Offer, lease);
    if (type !== Message.Request || (server !== undefined && server !== this.#options.gateway))
      return undefined;
    const wanted = addressIn(options.get(Option.RequestedAddress)) ?? view.getUint32(12);
    return lease !== undefined && wanted === lease
      ? this.#reply(request, Message.Ack, lease)
      : this.#reply(request, Message.Nak, 0);
  }

  #lease(mac: number): number | undefined {
    const known = this.#leases.get(mac);
    if (known !== undefined) return known;
    const address = this.#pool.first + this.#leases.size;
    if (address > this.#pool.last) return undefined;
    this.#leases.set(mac, address);
    return address;
  }

  #reply(request: Uint8Array, type: number, address: number): DhcpReply {
    const { mask, gateway, nameServer, mtu, domain } = this.#options;
    const out = new DataView(request.buffer, request.byteOffset, request.byteLength);
    const fields: [number, Uint8Array][] = [
      [Option.MessageType, Uint8Array.of(type)],
      [Option.Server, word(gateway)],
    ];
    if (type !== Message.Nak) {
      if (address !== 0) fields.push([Option.LeaseTime, word(LEASE_SECONDS)]);
      fields.push(
        [Option.Mask, word(mask)],
        [Option.Router, word(gateway)],
        [Option.NameServer, word(nameServer)],
        [Option.Mtu, word(mtu).subarray(2)],
      );
      if (domain) fields.push([Option.Domain, new TextEncoder().encode(domain).subarray(0, 255)]);
    }
    const length = 240 + fields.reduce((sum, [, value]) => sum + 2 + value.length, 1);
    const message = new Uint8Array(Math.max(300, length));
    const view = new DataView(message.buffer);
    message[0] = 2;
    message[1] = 1;
    message[2] = 6;
    message.set(request.subarray(4, 8), 4); // transaction
    message.set(request.subarray(10, 12), 10); // flags
    if (type === Message.Ack) message.set(request.subarray(12, 16), 12);
    view.setUint32(16, address);
    view.setUint32(20, type === Message.Nak ? 0 : gateway);
    message.set(request.subarray(28, 44), 28);
    view.setUint32(236, MAGIC);
    let at = 240;
    for (const [option, value] of fields) {
      message[at] = option;
      message[at + 1] = value.length;
      message.set(value, at + 2);
      at += 2 + value.length;
    }
    message[at] = Option.End;
    const client = out.getUint32(12);
    const everyone = type === Message.Nak || (out.getUint16(10) & BROADCAST_FLAG) !== 0;
    return {
      targetMac: everyone ? 0xffff_ffff_ffff : macAt(request, 28),
      target: everyone ? EVERYONE : client || address || EVERYONE,
      message,
    };
  }
}

function readOptions(message: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 240; at < message.length;) {
    const option = message[at] as number;
    if (option === Option.End) break;
    if (option === 0) {
      at++;
      continue;
    }
    const length = message[at + 1] ?? 0;
    if (at + 2 + length > message.length) break;
    options.set(option, message.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function addressIn(bytes: Uint8Array | undefined): number | undefined {
  if (bytes?.length !== 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
