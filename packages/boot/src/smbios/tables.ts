import { bootError } from "../errors.ts";
import type { MemoryRange } from "../memory-map.ts";
import { structure } from "./structure.ts";
import type { Field } from "./structure.ts";

/** SMBIOS tables ready to be put into guest memory. */
export interface SmbiosTables {
  /** Guest-physical address of the entry point, which is their first byte. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** What the tables describe. */
export interface SmbiosOptions {
  /** The guest's RAM, as `GuestMemory` has it: at least one range, each of whole KiB. */
  readonly memory: readonly MemoryRange[];
  /** How many processors there are: cores of one package. */
  readonly processors: number;
}

/** Where a guest without EFI looks, at multiples of 16 up to 1 MiB (DSP0134 3.0, 5.2.2). */
const ADDRESS = 0xf_0000;
const ENTRY_POINT_BYTES = 24;
const TABLE_OFFSET = 32;

const VENDOR = "Queztl";
const KIB = 1024;
const MIB = KIB * KIB;

// "Unknown" and "not provided" of the fields that have a value for it.
const NO_HANDLE = 0xffff;
const NO_ERROR_HANDLE = 0xfffe;
const UNKNOWN_WIDTH = 0xffff;

// Each kind's handle is of its own, so that they can name each other.
const HANDLE = {
  firmware: 0x0000,
  system: 0x0100,
  chassis: 0x0300,
  processor: 0x0400,
  memoryArray: 0x1000,
  memoryDevice: 0x1100,
  memoryRange: 0x1300,
  boot: 0x2000,
  end: 0x7f00,
} as const;

/**
 * Builds the SMBIOS 3.0 tables of a machine, by which a guest knows its maker and its memory modules (DSP0134 3.0):
 * firmware, system, chassis, processor, memory, boot status. The same options give the same bytes.
 * @throws QZ_BOOT_SMBIOS for options that cannot be described.
 */
export function buildSmbiosTables(options: SmbiosOptions): SmbiosTables {
  const { memory, processors } = options;
  check(options);
  const ramKib = memory.reduce((sum, { length }) => sum + length, 0) / KIB;
  const table = concatenate([
    structure(0, HANDLE.firmware, firmware),
    structure(1, HANDLE.system, system),
    structure(3, HANDLE.chassis, chassis),
    structure(4, HANDLE.processor, processorPackage(processors)),
    structure(16, HANDLE.memoryArray, memoryArray(ramKib)),
    structure(17, HANDLE.memoryDevice, memoryDevice(ramKib)),
    ...memory.map((range, i) => structure(19, HANDLE.memoryRange + i, mappedRange(range))),
    structure(32, HANDLE.boot, booted),
    structure(127, HANDLE.end, []),
  ]);
  const bytes = new Uint8Array(TABLE_OFFSET + table.length);
  bytes.set(entryPoint(ADDRESS + TABLE_OFFSET, table.length));
  bytes.set(table, TABLE_OFFSET);
  return { address: ADDRESS, bytes };
}

function check({ memory, processors }: SmbiosOptions): void {
  const bad = (reason: string) => bootError("QZ_BOOT_SMBIOS", { reason });
  if (!Number.isInteger(processors) || processors < 1 || processors > 0xfffe)
    throw bad(`${processors} processors are not from 1 to 65534`);
  if (memory.length === 0) throw bad("there is no memory");
  for (const { address, length } of memory)
    if (address % KIB !== 0 || length % KIB !== 0 || !(address >= 0) || !(length > 0))
      throw bad(`a memory range of ${length} bytes at ${address} is not of whole KiB`);
}

/** The 64-bit entry point (5.2.2). */
function entryPoint(tableAddress: number, tableBytes: number): Uint8Array {
  const bytes = new Uint8Array(ENTRY_POINT_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("_SM3_"));
  view.setUint8(6, ENTRY_POINT_BYTES);
  view.setUint8(7, 3); // version 3.0
  view.setUint8(10, 1); // revision of the entry point
  view.setUint32(12, tableBytes, true);
  view.setBigUint64(16, BigInt(tableAddress), true);
  bytes[5] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}

/** Type 0 (7.1). The date is that of these tables: kernels have quirks for firmware of before 2012. */
const firmware: readonly Field[] = [
  VENDOR,
  "1.0",
  [2, 0xf000], // segment
  "01/01/2026",
  [1, 0], // 64 KiB
  [8, 1 << 7], // PCI
  [1, 1], // ACPI
  [1, 1 << 4], // a virtual machine
  [1, 1],
  [1, 0],
  [1, 0xff], // no embedded controller
  [1, 0xff],
];

/** Type 1 (7.2). Without a UUID: one here would be the same in every copy of a snapshot. */
const system: readonly Field[] = [
  VENDOR,
  "Virtual PC",
  "1.0",
  "",
  [8, 0],
  [8, 0],
  [1, 6], // woken by the power switch
  "",
  "",
];

/** Type 3 (7.4): of another kind, in a safe state, nothing contained. */
const chassis: readonly Field[] = [
  VENDOR,
  [1, 1],
  "",
  "",
  "",
  [1, 3],
  [1, 3],
  [1, 3],
  [1, 2],
  [4, 0],
  [1, 0],
  [1, 0],
  [1, 0],
  [1, 0],
  "",
];

/** Type 4 (7.5): one package, a core for each processor. What it is, CPUID says. */
function processorPackage(processors: number): readonly Field[] {
  const short = Math.min(processors, 0xff);
  const cores: readonly Field[] = [
    [1, short],
    [1, short],
    [1, short],
  ];
  const longCores: readonly Field[] = [
    [2, processors],
    [2, processors],
    [2, processors],
  ];
  const CHARACTERISTICS = (1 << 2) | (1 << 5) | (processors > 1 ? 1 << 3 : 0); // 64 bits, NX, cores
  return [
    "CPU 0",
    [1, 3], // a central processor
    [1, 2], // family unknown
    VENDOR,
    [8, 0],
    "",
    [1, 0],
    [2, 0],
    [2, 0],
    [2, 0],
    [1, 0x41], // populated, enabled
    [1, 1],
    [2, NO_HANDLE],
    [2, NO_HANDLE],
    [2, NO_HANDLE],
    "",
    "",
    "",
    ...cores,
    [2, CHARACTERISTICS],
    [2, 2],
    ...longCores,
  ];
}

/** Type 16 (7.17): system memory, without error correction, one module. */
function memoryArray(ramKib: number): readonly Field[] {
  const EXTENDED = 0x8000_0000;
  const fits = ramKib < EXTENDED;
  return [
    [1, 1],
    [1, 3],
    [1, 3],
    [4, fits ? ramKib : EXTENDED],
    [2, NO_ERROR_HANDLE],
    [2, 1],
    [8, fits ? 0 : ramKib * KIB],
  ];
}

/** Type 17 (7.18). */
function memoryDevice(ramKib: number): readonly Field[] {
  const EXTENDED = 0x7fff;
  const IN_KIB = 0x8000;
  const mib = Math.floor((ramKib * KIB) / MIB);
  const fits = mib < EXTENDED;
  return [
    [2, HANDLE.memoryArray],
    [2, NO_ERROR_HANDLE],
    [2, UNKNOWN_WIDTH],
    [2, UNKNOWN_WIDTH],
    [2, mib === 0 ? IN_KIB | ramKib : fits ? mib : EXTENDED],
    [1, 1], // of another form
    [1, 0],
    "RAM 0",
    "",
    [1, 7], // RAM
    [2, 1 << 1], // of another kind
    [2, 0],
    VENDOR,
    "",
    "",
    "",
    [1, 0],
    [4, fits ? 0 : mib],
    [2, 0],
    [2, 0],
    [2, 0],
    [2, 0],
  ];
}

/** Type 19 (7.20): where the array lies, by KiB. */
function mappedRange({ address, length }: MemoryRange): readonly Field[] {
  const [first, last] = [address / KIB, (address + length) / KIB - 1];
  const EXTENDED = 0xffff_ffff;
  const fits = last < EXTENDED;
  return [
    [4, fits ? first : EXTENDED],
    [4, fits ? last : EXTENDED],
    [2, HANDLE.memoryArray],
    [1, 1],
    [8, fits ? 0 : address],
    [8, fits ? 0 : address + length - 1],
  ];
}

/** Type 32 (7.33): no error. */
const booted: readonly Field[] = [
  [2, 0],
  [4, 0],
  [1, 0],
];

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
