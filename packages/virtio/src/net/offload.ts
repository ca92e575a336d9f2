import { addWords, checksum, fold } from "./checksum.ts";
import type { Frame } from "./link.ts";

/** What a receiver takes care of itself. */
export interface Offloads {
  readonly checksum: boolean;
  readonly segment4: boolean;
  readonly segment6: boolean;
}

/** A receiver that wants plain frames. */
export const NO_OFFLOADS: Offloads = { checksum: false, segment4: false, segment6: false };

const ETHERNET = 14;
const TCP = 6;
const Flag = { Fin: 1, Psh: 8, Cwr: 0x80 } as const;

/**
 * A frame as a receiver with these offloads can take it: large segments cut, checksums stored. A frame whose
 * offload does not fit its headers gives none.
 */
export function forReceiver(frame: Frame, offloads: Offloads): readonly Frame[] {
  const { bytes, offload } = frame;
  if (offload === undefined) return [frame];
  const { segment } = offload;
  if (segment !== undefined) {
    const able = segment.ip === 4 ? offloads.segment4 : offloads.segment6;
    return able && offloads.checksum ? [frame] : cut(bytes, segment.ip, segment.payloadBytes);
  }
  if (offloads.checksum) return [frame];
  const { start, offset } = offload.checksum;
  if (start + offset + 2 > bytes.length) return [];
  const whole = new Uint8Array(bytes);
  const sum = checksum(whole, start, whole.length);
  // A UDP checksum of 0 would say "none"; its other representation is all ones.
  putWord(whole, start + offset, sum === 0 ? 0xffff : sum);
  return [{ bytes: whole }];
}

/** Cuts a TCP segment as a NIC does (TSO). */
function cut(bytes: Uint8Array, ip: 4 | 6, payloadBytes: number): Frame[] {
  const headers = tcpHeaders(bytes, ip);
  if (headers === undefined || payloadBytes < 1) return [];
  const { tcp, payload } = headers;
  const total = bytes.length - payload;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sequence = view.getUint32(tcp + 4);
  const flags = bytes[tcp + 13] as number;
  const identification = view.getUint16(ETHERNET + 4);
  const frames: Frame[] = [];
  for (let at = 0; at === 0 || at < total; at += payloadBytes) {
    const length = Math.min(payloadBytes, total - at);
    const part = new Uint8Array(payload + length);
    part.set(bytes.subarray(0, payload));
    part.set(bytes.subarray(payload + at, payload + at + length), payload);
    const out = new DataView(part.buffer);
    out.setUint32(tcp + 4, (sequence + at) >>> 0);
    const last = at + length >= total;
    const notHere = (last ? 0 : Flag.Fin | Flag.Psh) | (at > 0 ? Flag.Cwr : 0);
    part[tcp + 13] = flags & ~notHere;
    if (ip === 4) {
      out.setUint16(ETHERNET + 2, part.length - ETHERNET);
      out.setUint16(ETHERNET + 4, (identification + frames.length) & 0xffff);
      out.setUint16(ETHERNET + 10, 0);
      out.setUint16(ETHERNET + 10, checksum(part, ETHERNET, tcp));
    } else {
      out.setUint16(ETHERNET + 4, part.length - ETHERNET - 40);
    }
    out.setUint16(tcp + 16, 0);
    const addresses = ip === 4 ? [ETHERNET + 12, ETHERNET + 20] : [ETHERNET + 8, ETHERNET + 40];
    const pseudo = addWords(part, addresses[0] as number, addresses[1] as number);
    out.setUint16(tcp + 16, checksum(part, tcp, part.length, pseudo + TCP + part.length - tcp));
    frames.push({ bytes: part });
  }
  return frames;
}

/** Where the TCP header and its payload begin, if the frame is plain IPv4 or IPv6 with TCP. */
function tcpHeaders(bytes: Uint8Array, ip: 4 | 6): { tcp: number; payload: number } | undefined {
  const first = bytes[ETHERNET] ?? 0;
  if (first >>> 4 !== ip) return undefined;
  const tcp = ETHERNET + (ip === 4 ? (first & 15) * 4 : 40);
  const protocol = bytes[ip === 4 ? ETHERNET + 9 : ETHERNET + 6];
  if (tcp < ETHERNET + 20 || tcp + 20 > bytes.length || protocol !== TCP) return undefined;
  const payload = tcp + ((bytes[tcp + 12] as number) >>> 4) * 4;
  return payload < tcp + 20 || payload > bytes.length ? undefined : { tcp, payload };
}

/** The pseudo-header's sum of IPv4, for a checksum that is still to be completed. */
export function pseudoHeaderSum(
  source: number,
  target: number,
  protocol: number,
  length: number,
): number {
  return fold(
    (source >>> 16) + (source & 0xffff) + (target >>> 16) + (target & 0xffff) + protocol + length,
  );
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}
