import type { RamRegion } from "@queztl/memory";

/** A range of guest-physical addresses, in bytes. */
export interface MemoryRange {
  readonly address: number;
  readonly length: number;
}

/** What a range of the map is (ACPI 6.5, 15.2; the e820 types). */
export const MemoryType = { Ram: 1, Reserved: 2, Acpi: 3, AcpiNvs: 4 } as const;

/** A range of guest-physical memory and what it is for. */
export interface MemoryMapEntry extends MemoryRange {
  readonly type: (typeof MemoryType)[keyof typeof MemoryType];
}

/** Conventional memory ends here: the last KiB below 640 KiB belongs to the BIOS's extended data. */
export const CONVENTIONAL_TOP = 0x9_fc00;
const LEGACY_HOLE = { address: CONVENTIONAL_TOP, length: 0xa_0000 - CONVENTIONAL_TOP };
const BIOS_AREA = { address: 0xe_0000, length: 0x2_0000 };
const HIGH_MEMORY = 0x10_0000;

/**
 * The PC memory map of a guest: its RAM without the hole from 640 KiB to 1 MiB, the BIOS area, and what the
 * caller reserves. Sorted, without overlaps.
 * @param regions the guest's RAM, as GuestMemory has it.
 * @param reserved further ranges that the guest must not use as RAM: ECAM, firmware.
 * @param acpi where ACPI tables lie, when that is in RAM.
 */
export function memoryMap(
  regions: readonly RamRegion[],
  reserved: readonly MemoryRange[] = [],
  acpi: readonly MemoryRange[] = [],
): MemoryMapEntry[] {
  const taken: MemoryMapEntry[] = [
    { ...LEGACY_HOLE, type: MemoryType.Reserved },
    { ...BIOS_AREA, type: MemoryType.Reserved },
    ...reserved.map((range) => ({ ...range, type: MemoryType.Reserved })),
    ...acpi
      .filter((range) => range.address >= HIGH_MEMORY || range.address < CONVENTIONAL_TOP)
      .map((range) => ({ ...range, type: MemoryType.Acpi })),
  ];
  const holes = [
    ...taken,
    {
      address: CONVENTIONAL_TOP,
      length: HIGH_MEMORY - CONVENTIONAL_TOP,
      type: MemoryType.Reserved,
    },
  ];
  const ram = regions.flatMap((region) =>
    holes.reduce<MemoryRange[]>(
      (pieces, hole) => pieces.flatMap((piece) => without(piece, hole)),
      [{ address: region.guestStart, length: region.length }],
    ),
  );
  return [...ram.map((range) => ({ ...range, type: MemoryType.Ram })), ...taken]
    .filter((entry) => entry.length > 0)
    .sort((a, b) => a.address - b.address);
}

/** A range less a hole: none, one or two pieces. */
function without(range: MemoryRange, hole: MemoryRange): MemoryRange[] {
  const end = range.address + range.length;
  const holeEnd = hole.address + hole.length;
  if (holeEnd <= range.address || hole.address >= end) return [range];
  return [
    { address: range.address, length: hole.address - range.address },
    { address: holeEnd, length: end - holeEnd },
  ].filter((piece) => piece.length > 0);
}
