import { pseudoHeaderSum } from "../offload.ts";
import type { Frame } from "../link.ts";
import { BODY_OFFSET, Protocol, ipv4Frame } from "./packet.ts";
import type { Ipv4Header, Ipv4Packet } from "./packet.ts";

/** Bits of the TCP flags (RFC 9293, 3.1). */
export const TcpFlag = { Fin: 1, Syn: 2, Rst: 4, Psh: 8, Ack: 16 } as const;

const Option = { End: 0, None: 1, SegmentSize: 2, WindowScale: 3 } as const;
const HEADER_BYTES = 20;

/** A TCP segment of the guest. */
export interface TcpSegment {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly sequence: number;
  readonly acknowledged: number;
  readonly flags: number;
  readonly window: number;
  readonly payload: Uint8Array;
  /** Options of a SYN. */
  readonly segmentSize: number | undefined;
  readonly windowScale: number | undefined;
}

/** Reads a TCP segment; undefined when its header does not fit. */
export function parseTcp(packet: Ipv4Packet): TcpSegment | undefined {
  const { view, frame, body, end } = packet;
  if (body + HEADER_BYTES > end) return undefined;
  const headerBytes = (view.getUint8(body + 12) >>> 4) * 4;
  if (headerBytes < HEADER_BYTES || body + headerBytes > end) return undefined;
  let segmentSize: number | undefined;
  let windowScale: number | undefined;
  for (let at = body + HEADER_BYTES; at < body + headerBytes;) {
    const kind = view.getUint8(at);
    if (kind === Option.End) break;
    if (kind === Option.None) {
      at++;
      continue;
    }
    const length = at + 1 < body + headerBytes ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > body + headerBytes) break;
    if (kind === Option.SegmentSize && length === 4) segmentSize = view.getUint16(at + 2);
    if (kind === Option.WindowScale && length === 3)
      windowScale = Math.min(14, view.getUint8(at + 2));
    at += length;
  }
  return {
    sourcePort: view.getUint16(body),
    targetPort: view.getUint16(body + 2),
    sequence: view.getUint32(body + 4),
    acknowledged: view.getUint32(body + 8),
    flags: view.getUint8(body + 13),
    window: view.getUint16(body + 14),
    payload: frame.subarray(body + headerBytes, end),
    segmentSize,
    windowScale,
  };
}

/** A segment for the guest; `payload` fills the payload's bytes. */
export interface OutgoingSegment {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly sequence: number;
  readonly acknowledged: number;
  readonly flags: number;
  readonly window: number;
  readonly payloadBytes?: number;
  readonly payload?: (target: Uint8Array) => void;
  /** Options of a SYN. */
  readonly segmentSize?: number;
  readonly windowScale?: number | undefined;
  /** The payload a guest without segmentation offload is given at once. */
  readonly cutTo: number;
}

/** The segment in a frame, its checksum left to the receiver, and its cutting too when it is large. */
export function tcpFrame(header: Omit<Ipv4Header, "protocol">, segment: OutgoingSegment): Frame {
  const { payloadBytes = 0 } = segment;
  const options = segment.segmentSize === undefined ? 0 : segment.windowScale === undefined ? 4 : 8;
  const length = HEADER_BYTES + options + payloadBytes;
  const bytes = ipv4Frame({ ...header, protocol: Protocol.Tcp }, length);
  const view = new DataView(bytes.buffer);
  const at = BODY_OFFSET;
  view.setUint16(at, segment.sourcePort);
  view.setUint16(at + 2, segment.targetPort);
  view.setUint32(at + 4, segment.sequence);
  view.setUint32(at + 8, segment.acknowledged);
  view.setUint8(at + 12, ((HEADER_BYTES + options) / 4) << 4);
  view.setUint8(at + 13, segment.flags);
  view.setUint16(at + 14, segment.window);
  view.setUint16(at + 16, pseudoHeaderSum(header.source, header.target, Protocol.Tcp, length));
  if (segment.segmentSize !== undefined) {
    view.setUint32(at + 20, (Option.SegmentSize << 24) | (4 << 16) | segment.segmentSize);
    if (segment.windowScale !== undefined)
      view.setUint32(at + 24, (Option.WindowScale << 24) | (3 << 16) | (segment.windowScale << 8));
  }
  segment.payload?.(bytes.subarray(at + HEADER_BYTES + options));
  const checksum = { start: at, offset: 16 };
  if (payloadBytes <= segment.cutTo) return { bytes, offload: { checksum } };
  return { bytes, offload: { checksum, segment: { ip: 4, payloadBytes: segment.cutTo } } };
}
