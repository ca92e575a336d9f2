/** Handlers that belong to no instruction; those of instructions follow. */
export const Handler = {
  /** The record's code was overwritten: decode again. */
  Stale: 0,
  /** The block ends at the page's end or elsewhere without a jump: look the next instruction up. */
  Continue: 1,
  /** A helper does the whole instruction. */
  Help: 2,
  /** Address records: base + displacement; base + index + displacement; RIP-relative. */
  AddressBase: 3,
  AddressIndex: 4,
  AddressRip: 5,
  /** The same with a segment base, and with 32-bit arithmetic, in 64-bit mode. */
  AddressSegment: 6,
  Address32: 7,
  Address32Segment: 8,
  AddressRipSegment: 9,
  /** 64-bit absolute address (moffs), with the segment's base. */
  AddressAbsolute: 10,
  /** Outside 64-bit mode: 16- or 32-bit arithmetic with segment checks; offsets alone (LEA). */
  AddressLegacy16: 11,
  AddressLegacy32: 12,
  Offset16: 13,
  /** 32-bit RIP-relative, with the segment's base. */
  AddressRip32: 14,
  Count: 15,
} as const;
