import { bootError } from "../errors.ts";
import { buffer, littleEndian } from "./aml.ts";
import type { Aml } from "./aml.ts";

/** A range a device decodes or a bridge passes on, in bytes. */
export interface AddressRange {
  readonly address: number;
  readonly length: number;
}

/** ResourceTemplate() {…}: descriptors and the end tag, whose checksum 0 means "none" (ACPI 6.5, 6.4.2.9). */
export function resourceTemplate(...descriptors: readonly Aml[]): Aml {
  return buffer([...descriptors.flat(), 0x79, 0]);
}

/** IO(Decode16, …): fixed I/O ports (6.4.2.5). */
export function ioPorts(port: number, length: number): Aml {
  const base = littleEndian(port, 2);
  return [0x47, 1, ...base, ...base, 1, ...littleEndian(length, 1)];
}

/** IRQNoFlags() {irq}: an edge-triggered, active-high ISA interrupt (6.4.2.1). */
export function isaIrq(irq: number): Aml {
  return [0x22, ...littleEndian(1 << irq, 2)];
}

/** Interrupt(ResourceConsumer, Level, ActiveHigh, Exclusive) {gsi} (6.4.3.6). */
export function levelInterrupt(gsi: number): Aml {
  return [0x89, ...littleEndian(6, 2), 0x01, 1, ...littleEndian(gsi, 4)];
}

/** Memory32Fixed(ReadWrite, …) (6.4.3.4). */
export function fixedMemory(range: AddressRange): Aml {
  const body = [1, ...littleEndian(range.address, 4), ...littleEndian(range.length, 4)];
  return [0x86, ...littleEndian(body.length, 2), ...body];
}

/** What an address space descriptor's type byte says (6.4.3.5). */
const SPACE = { memory: 0, io: 1, bus: 2 } as const;
/** Minimum and maximum are fixed; the device decodes positively and passes the range on. */
const FIXED_PRODUCER = 0x0c;
/** Of memory: not cacheable, writable. Of I/O: the whole range. */
const SPECIFIC = { memory: 1, io: 3, bus: 0 } as const;

/** WordBusNumber(…): the buses below a host bridge. */
export function busNumbers(first: number, last: number): Aml {
  return addressSpace("bus", 2, { address: first, length: last - first + 1 });
}

/** WordIO(…): I/O ports passed on to a bus. */
export function ioWindow(range: AddressRange): Aml {
  return addressSpace("io", 2, range);
}

/** DWordMemory(…): memory below 4 GiB passed on to a bus. */
export function memoryWindow32(range: AddressRange): Aml {
  return addressSpace("memory", 4, range);
}

/** QWordMemory(…): memory above 4 GiB passed on to a bus. */
export function memoryWindow64(range: AddressRange): Aml {
  return addressSpace("memory", 8, range);
}

const TAGS = { 2: 0x88, 4: 0x87, 8: 0x8a } as const;

function addressSpace(space: keyof typeof SPACE, width: 2 | 4 | 8, range: AddressRange): Aml {
  const { address, length } = range;
  const end = address + length - 1;
  if (!(length > 0)) throw bootError("QZ_BOOT_ACPI", { reason: `a window has ${length} bytes` });
  const fields = [0, address, end, 0, length].flatMap((value) => littleEndian(value, width));
  const body = [SPACE[space], FIXED_PRODUCER, SPECIFIC[space], ...fields];
  return [TAGS[width], ...littleEndian(body.length, 2), ...body];
}
