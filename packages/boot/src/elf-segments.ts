import type { ElfKernel } from "./elf.ts";
import { bootError } from "./errors.ts";
import type { Placement } from "./placement.ts";

/**
 * Puts an ELF kernel's segments at their physical addresses.
 * @returns the physical address of its entry: Linux gives that itself, others a virtual address in a segment.
 * @throws QZ_BOOT_MALFORMED when the entry is in no segment, and what `Placement.put` throws.
 */
export function putSegments(placement: Placement, elf: ElfKernel): number {
  for (const { physical, bytes, memoryBytes } of elf.segments) {
    placement.put("the kernel", physical, bytes, memoryBytes);
  }
  const physicalEntry = Number(elf.entry);
  if (holds(elf, physicalEntry)) return physicalEntry;
  for (const { physical, virtual, memoryBytes } of elf.segments) {
    const offset = elf.entry - virtual;
    if (offset >= 0n && offset < BigInt(memoryBytes)) return physical + Number(offset);
  }
  throw outside(physicalEntry);
}

/** @throws QZ_BOOT_MALFORMED when the physical address is in no segment. */
export function checkEntry(elf: ElfKernel, entry: number): void {
  if (!holds(elf, entry)) throw outside(entry);
}

function holds(elf: ElfKernel, entry: number): boolean {
  return elf.segments.some((s) => entry >= s.physical && entry < s.physical + s.memoryBytes);
}

function outside(entry: number) {
  const reason = `its entry 0x${entry.toString(16)} is in none of its segments`;
  return bootError("QZ_BOOT_MALFORMED", { what: "the ELF kernel", reason });
}
