import { checksum } from "../checksum.ts";
import { putMac } from "../link.ts";
import type { Frame } from "../link.ts";
import { pseudoHeaderSum } from "../offload.ts";

export const EtherType = { Ipv4: 0x0800, Arp: 0x0806 } as const;
export const Protocol = { Icmp: 1, Tcp: 6, Udp: 17 } as const;

/** Where the IPv4 header and, in frames made here, what follows it begin. */
export const IP_OFFSET = 14;
export const BODY_OFFSET = 34;
const TTL = 64;

/** An IPv4 packet in a frame, its header checked. */
export interface Ipv4Packet {
  readonly frame: Uint8Array;
  readonly view: DataView;
  readonly source: number;
  readonly target: number;
  readonly protocol: number;
  /** Where the body begins and ends in the frame. */
  readonly body: number;
  readonly end: number;
  readonly fragment: boolean;
}

/** Reads an IPv4 header (RFC 791); undefined when it is none. */
export function parseIpv4(frame: Uint8Array): Ipv4Packet | undefined {
  if (frame.length < BODY_OFFSET) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const first = view.getUint8(IP_OFFSET);
  const headerBytes = (first & 15) * 4;
  const total = view.getUint16(IP_OFFSET + 2);
  const body = IP_OFFSET + headerBytes;
  const end = IP_OFFSET + total;
  if (first >>> 4 !== 4 || headerBytes < 20 || end < body || end > frame.length) return undefined;
  return {
    frame,
    view,
    source: view.getUint32(IP_OFFSET + 12),
    target: view.getUint32(IP_OFFSET + 16),
    protocol: view.getUint8(IP_OFFSET + 9),
    body,
    end,
    fragment: (view.getUint16(IP_OFFSET + 6) & 0x3fff) !== 0,
  };
}

/** Who sends an IPv4 packet to whom. */
export interface Ipv4Header {
  readonly sourceMac: number;
  readonly targetMac: number;
  readonly source: number;
  readonly target: number;
  readonly protocol: number;
  readonly identification?: number;
  /** Flags and offset of a fragment, as in the header. */
  readonly fragment?: number;
}

/** A frame with its Ethernet and IPv4 headers, and room for `bodyBytes` at `BODY_OFFSET`. */
export function ipv4Frame(header: Ipv4Header, bodyBytes: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(BODY_OFFSET + bodyBytes);
  const view = new DataView(frame.buffer);
  putMac(frame, 0, header.targetMac);
  putMac(frame, 6, header.sourceMac);
  view.setUint16(12, EtherType.Ipv4);
  view.setUint8(IP_OFFSET, 0x45);
  view.setUint16(IP_OFFSET + 2, 20 + bodyBytes);
  view.setUint16(IP_OFFSET + 4, header.identification ?? 0);
  view.setUint16(IP_OFFSET + 6, header.fragment ?? 0x4000); // don't fragment
  view.setUint8(IP_OFFSET + 8, TTL);
  view.setUint8(IP_OFFSET + 9, header.protocol);
  view.setUint32(IP_OFFSET + 12, header.source);
  view.setUint32(IP_OFFSET + 16, header.target);
  view.setUint16(IP_OFFSET + 10, checksum(frame, IP_OFFSET, BODY_OFFSET));
  return frame;
}

/** Frames of a UDP datagram, as fragments if it is longer than the MTU. */
export function udpFrames(
  header: Omit<Ipv4Header, "protocol">,
  ports: { readonly source: number; readonly target: number },
  payload: Uint8Array,
  mtu: number,
): Frame[] {
  const length = 8 + payload.length;
  const datagram = new Uint8Array(length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, ports.source);
  view.setUint16(2, ports.target);
  view.setUint16(4, length);
  datagram.set(payload, 8);
  const sum = pseudoHeaderSum(header.source, header.target, Protocol.Udp, length);
  view.setUint16(6, checksum(datagram, 0, length, sum) || 0xffff);
  const most = (mtu - 20) & ~7;
  const frames: Frame[] = [];
  for (let at = 0; at < length; at += most) {
    const part = datagram.subarray(at, at + most);
    const more = at + most < length ? 0x2000 : 0;
    const fragment = length > mtu - 20 ? more | (at / 8) : 0x4000;
    const bytes = ipv4Frame({ ...header, protocol: Protocol.Udp, fragment }, part.length);
    bytes.set(part, BODY_OFFSET);
    frames.push({ bytes });
  }
  return frames;
}

/** An ICMP message (RFC 792) in a frame; `rest` is what follows its checksum. */
export function icmpFrame(
  header: Omit<Ipv4Header, "protocol">,
  type: number,
  code: number,
  rest: Uint8Array,
): Frame {
  const bytes = ipv4Frame({ ...header, protocol: Protocol.Icmp }, 4 + rest.length);
  bytes[BODY_OFFSET] = type;
  bytes[BODY_OFFSET + 1] = code;
  bytes.set(rest, BODY_OFFSET + 4);
  new DataView(bytes.buffer).setUint16(BODY_OFFSET + 2, checksum(bytes, BODY_OFFSET, bytes.length));
  return { bytes };
}
