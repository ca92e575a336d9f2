import { SETUP_HEADER_OFFSET } from "./bzimage.ts";
import { bootError } from "./errors.ts";
import type { MemoryMapEntry } from "./memory-map.ts";

/** Bytes of boot_params, the "zero page". */
export const BOOT_PARAMS_BYTES = 4096;

/** Room in boot_params' e820 table. */
const E820_ENTRIES_MAX = 128;

/** A loader without a registered number. */
const LOADER_UNDEFINED = 0xff;

// Offsets in boot_params (Linux arch/x86/include/uapi/asm/bootparam.h, Documentation/arch/x86/zero-page.rst).
const ACPI_RSDP_ADDRESS = 0x070;
const E820_ENTRIES = 0x1e8;
const E820_TABLE = 0x2d0;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const CODE32_START = 0x214;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const COMMAND_LINE_POINTER = 0x228;
const LOADED_HIGH = 1;

/** What the zero page tells the kernel. Addresses are guest-physical, lengths in bytes. */
export interface BootParams {
  /** The bzImage's setup header, or undefined for an ELF kernel, which has none. */
  readonly setupHeader: Uint8Array | undefined;
  /** Where a bzImage's protected-mode code lies; undefined for an ELF kernel. */
  readonly codeAddress: number | undefined;
  readonly commandLineAddress: number;
  readonly initrd: { readonly address: number; readonly length: number } | undefined;
  readonly memoryMap: readonly MemoryMapEntry[];
  /** Address of the ACPI RSDP, or 0 to let the kernel look for it. */
  readonly rsdpAddress: number;
}

/**
 * The zero page of the Linux boot protocol.
 * @throws QZ_BOOT_UNSUPPORTED for a memory map of more entries than it holds.
 */
export function bootParams(params: BootParams): Uint8Array<ArrayBuffer> {
  const { setupHeader, initrd, memoryMap } = params;
  if (memoryMap.length > E820_ENTRIES_MAX) {
    const reason = `it has ${memoryMap.length} ranges, at most ${E820_ENTRIES_MAX} fit`;
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "this memory map", reason });
  }
  const bytes = new Uint8Array(BOOT_PARAMS_BYTES);
  const view = new DataView(bytes.buffer);
  if (setupHeader) bytes.set(setupHeader, SETUP_HEADER_OFFSET);
  else putElfHeader(view);
  view.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED);
  view.setUint8(LOADFLAGS, view.getUint8(LOADFLAGS) | LOADED_HIGH);
  if (params.codeAddress !== undefined) view.setUint32(CODE32_START, params.codeAddress, true);
  view.setUint32(COMMAND_LINE_POINTER, params.commandLineAddress, true);
  view.setUint32(RAMDISK_IMAGE, initrd?.address ?? 0, true);
  view.setUint32(RAMDISK_SIZE, initrd?.length ?? 0, true);
  view.setBigUint64(ACPI_RSDP_ADDRESS, BigInt(params.rsdpAddress), true);
  view.setUint8(E820_ENTRIES, memoryMap.length);
  memoryMap.forEach((entry, index) => {
    const at = E820_TABLE + index * 20;
    view.setBigUint64(at, BigInt(entry.address), true);
    view.setBigUint64(at + 8, BigInt(entry.length), true);
    view.setUint32(at + 16, entry.type, true);
  });
  return bytes;
}

/** What Linux checks of a setup header, for a kernel that was not loaded from a bzImage. */
function putElfHeader(view: DataView): void {
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x230, 0x20_0000, true);
}
