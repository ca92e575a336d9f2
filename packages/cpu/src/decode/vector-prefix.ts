import { IMMEDIATE_BYTE, IMMEDIATE_NONE, IMMEDIATE_Z, INFO_MODRM } from "./dispatch.ts";

/** Map 1 opcodes with an immediate: 70–73, C2, C4–C6. */
function mapOneImmediate(opcode: number): boolean {
  return (opcode & 0xfc) === 0x70 || opcode === 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

/**
 * The layout of an instruction behind VEX, EVEX or XOP, as `INFO_*` bits, or -1 where no such encoding exists
 * (Intel SDM vol. 2, 2.3 and 2.7; AMD APM vol. 3, 1.2.7). Length is all that matters: every map has a fixed rule for its immediate.
 *
 * @param escape C4, C5, 62 or 8F
 * @param map the map-select field (1 for C5)
 */
export function vectorLayout(escape: number, map: number, opcode: number): number {
  if (escape === 0x8f) {
    if (map === 8) return INFO_MODRM | IMMEDIATE_BYTE;
    if (map === 9) return INFO_MODRM | IMMEDIATE_NONE;
    return map === 10 ? INFO_MODRM | IMMEDIATE_Z : -1;
  }
  const evex = escape === 0x62;
  switch (map) {
    case 1:
      // VZEROUPPER and VZEROALL stand alone.
      if (opcode === 0x77 && !evex) return IMMEDIATE_NONE;
      return INFO_MODRM | (mapOneImmediate(opcode) ? IMMEDIATE_BYTE : IMMEDIATE_NONE);
    case 2:
      return INFO_MODRM | IMMEDIATE_NONE;
    case 3:
      return INFO_MODRM | IMMEDIATE_BYTE;
    case 5:
    case 6:
      return evex ? INFO_MODRM | IMMEDIATE_NONE : -1;
    default:
      return -1;
  }
}
