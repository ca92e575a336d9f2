import { virtioError } from "../../errors.ts";

/** A block of IPv4 addresses; addresses are unsigned 32-bit numbers. */
export interface AddressRange {
  readonly base: number;
  readonly mask: number;
}

/** `10.0.2.2` as a number. @throws QZ_VIRTIO_OPTIONS */
export function parseAddress(text: string): number {
  const address = tryParseAddress(text);
  if (address === undefined) throw badAddress(text, "give four numbers from 0 to 255");
  return address;
}

/** As `parseAddress`, undefined for anything else, such as a name or an IPv6 address. */
export function tryParseAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** `10.0.2.0/24`, or one address. @throws QZ_VIRTIO_OPTIONS */
export function parseRange(text: string): AddressRange {
  const [address = "", bits = "32", ...more] = text.split("/");
  const length = Number(bits);
  if (more.length > 0 || !/^\d{1,2}$/.test(bits) || length > 32)
    throw badAddress(text, "give an address, a slash and 0 to 32 bits");
  const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
  return { base: (parseAddress(address) & mask) >>> 0, mask };
}

export function inRange(address: number, { base, mask }: AddressRange): boolean {
  return (address & mask) >>> 0 === base;
}

function badAddress(value: string, reason: string): Error {
  return virtioError("QZ_VIRTIO_OPTIONS", { option: "an IPv4 address", value, reason });
}
