import type { BootCpuState, SegmentState } from "./boot-plan.ts";
import type { Placement } from "./placement.ts";

/** Where the loader puts what it makes: below 640 KiB, above the real-mode vectors and the BIOS's data. */
export const LOW_LAYOUT = {
  gdt: 0x500,
  pageTables: 0x1000,
  bootParams: 0x7000,
  startInfo: 0x8000,
  multibootInfo: 0x9000,
  commandLine: 0x1_0000,
  moduleCommandLines: 0x2_0000,
  end: 0x8_0000,
} as const;

// Linux fixes these two selectors for both protocols (boot.rst, "32-bit Boot Protocol" and "64-bit Boot Protocol").
const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const TASK_SELECTOR = 0x20;

const CODE64: SegmentState = {
  selector: CODE_SELECTOR,
  base: 0,
  limit: 0xffff_ffff,
  attributes: 0xa09b,
};
const CODE32: SegmentState = { ...CODE64, attributes: 0xc09b };
const DATA: SegmentState = {
  selector: DATA_SELECTOR,
  base: 0,
  limit: 0xffff_ffff,
  attributes: 0xc093,
};
const TASK: SegmentState = { selector: TASK_SELECTOR, base: 0, limit: 0x67, attributes: 0x008b };

const CR0_PE = 1;
const CR0_ET = 1 << 4;
const CR0_PG = 2 ** 31;
const CR4_PAE = 1 << 5;
const EFER_LME_LMA = 0x500;
const RFLAGS_RESERVED = 2;

type Registers = BootCpuState["registers"];

/** Protected mode without paging, flat segments (PVH, multiboot and Linux' 32-bit protocol). Writes the GDT. */
export function protectedState(placement: Placement, registers: Registers): BootCpuState {
  const gdt = putGdt(placement, CODE32);
  return {
    registers,
    rflags: RFLAGS_RESERVED,
    cr0: CR0_PE | CR0_ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
    cs: CODE32,
    data: DATA,
    tr: TASK,
    gdt,
    idt: { base: 0, limit: 0 },
  };
}

/** Long mode with the lowest 4 GiB mapped to themselves. Writes the GDT and the page tables. */
export function longState(placement: Placement, registers: Registers): BootCpuState {
  const gdt = putGdt(placement, CODE64);
  placement.put("the page tables", LOW_LAYOUT.pageTables, identityPageTables());
  return {
    registers,
    rflags: RFLAGS_RESERVED,
    cr0: CR0_PG + CR0_PE + CR0_ET,
    cr3: LOW_LAYOUT.pageTables,
    cr4: CR4_PAE,
    efer: EFER_LME_LMA,
    cs: CODE64,
    data: DATA,
    tr: TASK,
    gdt,
    idt: { base: 0, limit: 0 },
  };
}

/** Real mode at an address below 1 MiB. */
export function realState(address: number): BootCpuState {
  // Code below 64 KiB keeps segment 0, as boot sectors expect.
  const segment = address < 0x1_0000 ? 0 : address >> 4;
  const real = (selector: number, attributes: number): SegmentState => ({
    selector,
    base: selector << 4,
    limit: 0xffff,
    attributes,
  });
  return {
    registers: { rip: address - (segment << 4) },
    rflags: RFLAGS_RESERVED,
    cr0: CR0_ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
    cs: real(segment, 0x9b),
    data: real(0, 0x93),
    tr: { selector: 0, base: 0, limit: 0xffff, attributes: 0x8b },
    gdt: { base: 0, limit: 0 },
    idt: { base: 0, limit: 0x3ff },
  };
}

function putGdt(placement: Placement, code: SegmentState): { base: number; limit: number } {
  // A loaded task register is busy; in the table it must not be, or LTR faults. In long mode it takes two entries.
  const task = descriptor(TASK) & ~TASK_BUSY;
  const table = new BigUint64Array([0n, 0n, descriptor(code), descriptor(DATA), task, 0n]);
  const bytes = new Uint8Array(table.buffer);
  placement.put("the GDT", LOW_LAYOUT.gdt, bytes);
  return { base: LOW_LAYOUT.gdt, limit: bytes.length - 1 };
}

const TASK_BUSY = 1n << 41n;

/** A segment descriptor (Intel SDM vol. 3, figure 3-8). All here have base 0. */
function descriptor(segment: SegmentState): bigint {
  const granular = segment.attributes & 0x8000;
  const limit = BigInt(granular ? segment.limit >>> 12 : segment.limit);
  return (limit & 0xffffn) | ((limit >> 16n) << 48n) | (BigInt(segment.attributes) << 40n);
}

/** 4-level tables that map the lowest 4 GiB to themselves with 2 MiB pages: PML4, PDPT, four page directories. */
function identityPageTables(): Uint8Array {
  const PRESENT_WRITABLE = 3n;
  const LARGE = 0x80n;
  const entries = new BigUint64Array(6 * 512);
  const table = (index: number) => BigInt(LOW_LAYOUT.pageTables + index * 4096) | PRESENT_WRITABLE;
  entries[0] = table(1);
  for (let gib = 0; gib < 4; gib++) entries[512 + gib] = table(2 + gib);
  for (let page = 0; page < 4 * 512; page++) {
    entries[1024 + page] = (BigInt(page) << 21n) | LARGE | PRESENT_WRITABLE;
  }
  return new Uint8Array(entries.buffer);
}
