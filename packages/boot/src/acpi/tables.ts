import { bootError, hex } from "../errors.ts";
import { ascii, littleEndian } from "./aml.ts";
import { dsdtBody } from "./dsdt.ts";
import type { VirtioMmioDevice } from "./dsdt.ts";
import { fadtBody } from "./fadt.ts";
import type { SleepPorts } from "./fadt.ts";
import { madtBody } from "./madt.ts";
import type { AcpiPlatform } from "./platform.ts";

/** ACPI tables ready to be put into guest memory. */
export interface AcpiTables {
  /** Guest-physical address of the first byte. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Guest-physical address of the RSDP, which lies among them. */
  readonly rsdpAddress: number;
}

/** What the tables describe. */
export interface AcpiOptions {
  readonly platform: AcpiPlatform;
  /** The local APIC IDs of the CPUs, the boot CPU's first. */
  readonly apicIds: readonly number[];
  /** Where the tables go: guest-physical, a multiple of 64. Default 0xE0000, where a BIOS would have them. */
  readonly address?: number;
  /** Width of the PM timer; default 24. */
  readonly pmTimerBits?: 24 | 32;
  /** Whether the guest shall look for a PS/2 keyboard controller; default false, which saves it the probing. */
  readonly keyboard?: boolean;
  /** Virtio devices on the MMIO transport. */
  readonly virtioMmio?: readonly VirtioMmioDevice[];
  /**
   * Describe the hardware-reduced interface instead of ACPI's fixed hardware (no PM timer, no power button); with
   * its sleep registers when the machine has them.
   */
  readonly hardwareReduced?: { readonly sleep?: SleepPorts };
}

const HEADER_BYTES = 36;
const RSDP_BYTES = 36;
const FACS_BYTES = 64;
const DEFAULT_ADDRESS = 0xe_0000;
const CPUS_MAX = 4096;

/**
 * Builds the ACPI tables of a machine: RSDP, XSDT, FADT, FACS, DSDT, MADT and MCFG (ACPI 6.5, chapter 5). The same
 * options give the same bytes.
 * @throws QZ_BOOT_ACPI for options that cannot be described.
 */
export function buildAcpiTables(options: AcpiOptions): AcpiTables {
  const { platform, apicIds, address = DEFAULT_ADDRESS, hardwareReduced } = options;
  const { pmTimerBits = 24, keyboard = false, virtioMmio = [] } = options;
  check(address, apicIds);
  const parts: { at: number; bytes: Uint8Array }[] = [];
  let end = address + RSDP_BYTES;
  const place = (bytes: Uint8Array): number => {
    // The FACS must be 64-byte aligned; so is everything.
    const at = Math.ceil(end / 64) * 64;
    parts.push({ at, bytes });
    end = at + bytes.length;
    return at;
  };

  const facsAddress = hardwareReduced ? 0 : place(facs());
  const dsdt = table("DSDT", 2, dsdtBody({ platform, keyboard, virtioMmio }));
  const dsdtAddress = place(dsdt);
  const fadt = fadtBody({
    platform,
    facsAddress,
    dsdtAddress,
    pmTimerBits,
    keyboard,
    hardwareReduced,
  });
  const addresses = [
    place(table("FACP", 6, fadt.subarray(HEADER_BYTES))),
    place(table("APIC", 5, madtBody(platform, apicIds))),
    place(table("MCFG", 1, mcfgBody(platform.pci.ecam))),
  ];
  const xsdt = table(
    "XSDT",
    1,
    addresses.flatMap((at) => littleEndian(at, 8)),
  );
  const xsdtAddress = place(xsdt);

  const bytes = new Uint8Array(end - address);
  for (const part of parts) bytes.set(part.bytes, part.at - address);
  bytes.set(rsdp(xsdtAddress));
  return { address, bytes, rsdpAddress: address };
}

function check(address: number, apicIds: readonly number[]): void {
  const bad = (reason: string) => bootError("QZ_BOOT_ACPI", { reason });
  const addressable = Number.isInteger(address) && address > 0 && address <= 0xffff_0000;
  if (!addressable || address % 64 !== 0) throw bad(`they cannot lie at ${hex(address)}`);
  if (apicIds.length === 0) throw bad("there is no CPU");
  if (apicIds.length > CPUS_MAX) throw bad(`${apicIds.length} CPUs are more than ${CPUS_MAX}`);
  const known = new Set(apicIds);
  if (known.size !== apicIds.length) throw bad("two CPUs have the same APIC ID");
}

/** A table with its header: signature, length, revision, checksum, who made it (5.2.6). */
function table(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  bytes.set(ascii(signature));
  bytes.set(littleEndian(bytes.length, 4), 4);
  bytes[8] = revision;
  bytes.set(ascii("QUEZTL"), 10);
  bytes.set(ascii("QZVM    "), 16);
  bytes.set(littleEndian(1, 4), 24);
  bytes.set(ascii("QZTL"), 28);
  bytes.set(littleEndian(1, 4), 32);
  bytes.set(body, HEADER_BYTES);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** The Root System Description Pointer, revision 2 (5.2.5.3). */
function rsdp(xsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(RSDP_BYTES);
  bytes.set(ascii("RSD PTR "));
  bytes.set(ascii("QUEZTL"), 9);
  bytes[15] = 2;
  bytes.set(littleEndian(RSDP_BYTES, 4), 20);
  bytes.set(littleEndian(xsdtAddress, 8), 24);
  // The first checksum covers the 20 bytes of ACPI 1.0, the second all.
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}

/** The firmware control structure, which holds the global lock; it has no checksum (5.2.10). */
function facs(): Uint8Array {
  const bytes = new Uint8Array(FACS_BYTES);
  bytes.set(ascii("FACS"));
  bytes.set(littleEndian(FACS_BYTES, 4), 4);
  bytes[32] = 2;
  return bytes;
}

/** Where the PCI configuration space is mapped (PCI Firmware 3.3, 4.1.2). */
function mcfgBody(ecam: AcpiPlatform["pci"]["ecam"]): number[] {
  const reserved = littleEndian(0, 8);
  const segment = littleEndian(0, 2);
  const buses = [...littleEndian(ecam.firstBus, 1), ...littleEndian(ecam.lastBus, 1)];
  return [...reserved, ...littleEndian(ecam.address, 8), ...segment, ...buses, 0, 0, 0, 0];
}

function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}
