import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const bootErrors = {
  QZ_BOOT_UNKNOWN_KERNEL: {
    status: "invalid",
    message:
      "this file is no kernel that can be started ({reason}): give a bzImage, an ELF kernel or a multiboot kernel for x86",
  },
  QZ_BOOT_TRUNCATED: {
    status: "invalid",
    message: "{what} ends too early: the file is cut short or damaged; fetch it again",
  },
  QZ_BOOT_MALFORMED: {
    status: "invalid",
    message: "{what} is damaged: {reason}; fetch the file again",
  },
  QZ_BOOT_WRONG_ARCHITECTURE: {
    status: "invalid",
    message: "this kernel is for {found}: give one for x86",
  },
  QZ_BOOT_NOT_64_BIT: {
    status: "invalid",
    message:
      "this kernel has no 64-bit entry ({reason}): start it at its 32-bit entry, or give an x86-64 kernel",
  },
  QZ_BOOT_UNSUPPORTED: {
    status: "invalid",
    message: "{what} cannot be started by this loader: {reason}",
  },
  QZ_BOOT_NO_ROOM: {
    status: "exhausted",
    message: "{what} needs {bytes} bytes {where} and does not fit: give the guest more memory",
  },
  QZ_BOOT_OVERLAP: {
    status: "conflict",
    message: "{what} at {address} (+{bytes}) would overwrite {other}: choose another address",
  },
  QZ_BOOT_COMMAND_LINE: {
    status: "invalid",
    message: "the kernel's command line {reason}: change it",
  },
  QZ_BOOT_COMPRESSION: {
    status: "invalid",
    message: "{what} is compressed with {format}: only gzip, xz, lzma, lz4 and zstd can be read",
  },
  QZ_BOOT_DECOMPRESSION: {
    status: "invalid",
    message: "the {format} data is damaged ({reason}): fetch the file again",
  },
  QZ_BOOT_TOO_LARGE: {
    status: "exhausted",
    message: "{what} is larger than the {limit} bytes allowed: raise the limit if you trust it",
  },
  QZ_BOOT_BAD_ARCHIVE: {
    status: "invalid",
    message: "this is no cpio archive in the newc format: {reason} at byte {at}",
  },
  QZ_BOOT_BAD_ENTRY: {
    status: "invalid",
    message: "{path} cannot be put into a cpio archive: {reason}",
  },
  QZ_BOOT_ACPI: {
    status: "invalid",
    message: "the ACPI tables cannot be built: {reason}",
  },
  QZ_BOOT_SMBIOS: {
    status: "invalid",
    message: "the SMBIOS tables cannot be built: {reason}",
  },
} as const satisfies ErrorCatalogue;

export const bootError = defineErrors(bootErrors);

/** An address as people write it. */
export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
