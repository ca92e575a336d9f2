import type { AcpiTables } from "./acpi/tables.ts";
import type { MemoryMapEntry, MemoryRange } from "./memory-map.ts";
import type { Placement } from "./placement.ts";
import type { SmbiosTables } from "./smbios/tables.ts";

/** A file handed to a multiboot or PVH kernel beside it. */
export interface BootModule {
  readonly bytes: Uint8Array;
  readonly commandLine?: string;
}

/** Where a flat image goes and in which mode it starts, at its first byte. */
export interface FlatImage {
  /** Guest-physical address; below 1 MiB for real16. */
  readonly address: number;
  readonly mode: "long64" | "protected32" | "real16";
}

/** What is loaded, and how. */
export interface LoadKernelOptions {
  /** The kernel file: a bzImage, an ELF or multiboot kernel, or with `flat` anything. */
  readonly kernel: Uint8Array;
  readonly commandLine?: string;
  /** The initial RAM disk; for a multiboot kernel the first module. */
  readonly initrd?: Uint8Array;
  /** Further modules, for PVH and multiboot kernels. */
  readonly modules?: readonly BootModule[];
  /** ACPI tables to put into the guest, from `buildAcpiTables`. */
  readonly acpi?: AcpiTables;
  /** SMBIOS tables to put into the guest, from `buildSmbiosTables`. */
  readonly smbios?: SmbiosTables;
  /** Ranges the guest must not take for RAM or devices of its own choice, such as the ECAM. */
  readonly reserved?: readonly MemoryRange[];
  /**
   * How a kernel is started: "pvh" by its PVH note, "linux64" or "linux32" at Linux' 64-bit or 32-bit entry with boot_params,
   * "multiboot" by its multiboot header. Default for an ELF kernel: PVH if it has the note, then multiboot if it has the
   * header, then Linux; for a bzImage Linux. Linux is started by its 64-bit entry if it has one.
   */
  readonly entry?: "pvh" | "linux64" | "linux32" | "multiboot";
  /** The file is no kernel format: copy it here as it is. */
  readonly flat?: FlatImage;
}

/** What the loaders of all formats share. */
export interface LoadContext {
  readonly placement: Placement;
  readonly options: LoadKernelOptions;
  readonly memoryMap: readonly MemoryMapEntry[];
}
