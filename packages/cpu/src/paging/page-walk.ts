import type { GuestMemory } from "@queztl/memory";

/** The physical-address width of the processor, in bits (CPUID 0x80000008). */
export const PHYSICAL_BITS = 40;

/** What an access wants of a page. */
export const Access = { Read: 0, Write: 1, Execute: 2 } as const;
export type AccessValue = (typeof Access)[keyof typeof Access];

/** Page-fault error-code bits (Intel SDM vol. 3, 4.7). */
export const PageFault = {
  Present: 1,
  Write: 2,
  User: 4,
  Reserved: 8,
  Instruction: 16,
} as const;

/** The control bits that decide how linear addresses are translated. */
export interface PagingMode {
  /** CR0.PG. */
  enabled: boolean;
  /** 4-level paging (EFER.LMA), PAE without it, or 32-bit paging. */
  levels: 4 | 3 | 2;
  /** CR0.WP. */
  writeProtect: boolean;
  /** EFER.NXE. */
  noExecute: boolean;
  smep: boolean;
  smap: boolean;
  /** CR4.PSE: 4 MiB pages in 32-bit paging. */
  largePages: boolean;
  /** CR4.PGE. */
  globalPages: boolean;
  /** CR3 without PCID and cache bits. */
  root: number;
  /** The four PDPTEs that PAE paging loaded with CR3, as low and high halves. */
  pointers: readonly number[];
}

/** The outcome of a walk. */
export interface Walk {
  /** Guest-physical address, when there is no fault. */
  physical: number;
  /** The page-fault error code, or −1 when the access is allowed. */
  fault: number;
  user: boolean;
  writable: boolean;
  dirty: boolean;
  executable: boolean;
  global: boolean;
  pageShift: number;
}

const ADDRESS_HIGH = 2 ** (PHYSICAL_BITS - 32) - 1;
const RESERVED_HIGH = 0x000fffff & ~ADDRESS_HIGH;
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;

/**
 * Translates linear to guest-physical addresses by the page tables in guest memory, setting accessed and
 * dirty bits (Intel SDM vol. 3, 4). The result object is reused by the next walk.
 */
export class PageWalker {
  readonly #memory: GuestMemory;
  readonly #walk: Walk = {
    physical: 0,
    fault: -1,
    user: true,
    writable: true,
    dirty: true,
    executable: true,
    global: false,
    pageShift: 12,
  };

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /**
   * @param low the low 32 bits of the linear address, @param high its high half, both as 32-bit integers.
   * @param user whether the access is made with user privilege.
   * @param strict whether supervisor data accesses to user pages are forbidden (SMAP, with AC clear).
   */
  walk(
    mode: PagingMode,
    low: number,
    high: number,
    access: AccessValue,
    user: boolean,
    strict: boolean,
  ): Walk {
    const walk = this.#walk;
    walk.fault = -1;
    walk.user = walk.writable = walk.dirty = walk.executable = true;
    walk.global = false;
    walk.pageShift = 12;
    if (!mode.enabled) {
      walk.physical = low >>> 0;
      return walk;
    }
    const code =
      (access === Access.Write ? PageFault.Write : 0) |
      (user ? PageFault.User : 0) |
      (access === Access.Execute && (mode.noExecute || mode.smep) ? PageFault.Instruction : 0);
    return mode.levels === 2
      ? this.#walk32(mode, low, access, user, strict, code)
      : this.#walk64(mode, low, high, access, user, strict, code);
  }

  #walk64(
    mode: PagingMode,
    low: number,
    high: number,
    access: AccessValue,
    user: boolean,
    strict: boolean,
    code: number,
  ): Walk {
    const walk = this.#walk;
    const { memory, view } = { memory: this.#memory, view: this.#memory.view };
    const write = access === Access.Write;
    let table = mode.root;
    let level = mode.levels === 4 ? 4 : 2;
    let writable = true;
    let userPage = true;
    let noExecute = false;
    if (mode.levels === 3) {
      const pointer = (low >>> 30) * 2;
      const pointerLow = mode.pointers[pointer] as number;
      if ((pointerLow & PRESENT) === 0) return this.#fail(code);
      table = physicalPage(pointerLow, mode.pointers[pointer + 1] as number);
    }
    for (;;) {
      const index =
        level === 4
          ? (high >>> 7) & 511
          : level === 3
            ? ((high << 2) | (low >>> 30)) & 511
            : level === 2
              ? (low >>> 21) & 511
              : (low >>> 12) & 511;
      const at = memory.offsetOf(table + index * 8, 8);
      if (at < 0) return this.#fail(code);
      const entryLow = view.getInt32(at, true);
      const entryHigh = view.getInt32(at + 4, true);
      if ((entryLow & PRESENT) === 0) return this.#fail(code);
      const large = (entryLow & LARGE) !== 0 && level > 1;
      // Bits 52–62 are ignored by 4-level paging and reserved by PAE paging.
      const legacyReserved = mode.levels === 3 ? 0x7ff00000 : 0;
      if (
        (entryHigh & (RESERVED_HIGH | legacyReserved)) !== 0 ||
        (entryHigh < 0 && !mode.noExecute) ||
        (level === 4 && (entryLow & LARGE) !== 0) ||
        (large && level === 3 && (entryLow & 0x3fffe000) !== 0) ||
        (large && level === 2 && (entryLow & 0x001fe000) !== 0)
      ) {
        return this.#fail(code | PageFault.Present | PageFault.Reserved);
      }
      writable &&= (entryLow & WRITABLE) !== 0;
      userPage &&= (entryLow & USER) !== 0;
      noExecute ||= entryHigh < 0;
      if (level > 1 && !large) {
        if ((entryLow & ACCESSED) === 0) this.#touch(at, entryLow | ACCESSED);
        table = physicalPage(entryLow, entryHigh);
        level--;
        continue;
      }
      if (!permitted(mode, access, user, strict, userPage, writable, noExecute)) {
        return this.#fail(code | PageFault.Present);
      }
      const bits = entryLow | ACCESSED | (write ? DIRTY : 0);
      if (bits !== entryLow) this.#touch(at, bits);
      const shift = level === 3 ? 30 : level === 2 ? 21 : 12;
      const inside = shift === 30 ? low & 0x3fffffff : shift === 21 ? low & 0x1fffff : low & 0xfff;
      const base =
        shift === 30
          ? entryLow & 0xc0000000
          : shift === 21
            ? entryLow & 0xffe00000
            : entryLow & ~0xfff;
      walk.physical = (entryHigh & ADDRESS_HIGH) * 2 ** 32 + ((base >>> 0) + inside);
      walk.user = userPage;
      walk.writable = writable || (!user && !mode.writeProtect);
      walk.dirty = (bits & DIRTY) !== 0;
      walk.executable = !noExecute;
      walk.global = mode.globalPages && (entryLow & GLOBAL) !== 0;
      walk.pageShift = shift;
      return walk;
    }
  }

  #walk32(
    mode: PagingMode,
    low: number,
    access: AccessValue,
    user: boolean,
    strict: boolean,
    code: number,
  ): Walk {
    const walk = this.#walk;
    const memory = this.#memory;
    const view = memory.view;
    const write = access === Access.Write;
    const at = memory.offsetOf(mode.root + (low >>> 22) * 4, 4);
    if (at < 0) return this.#fail(code);
    const entry = view.getInt32(at, true);
    if ((entry & PRESENT) === 0) return this.#fail(code);
    const large = (entry & LARGE) !== 0 && mode.largePages;
    let leafAt = at;
    let leaf = entry;
    let physical: number;
    if (large) {
      // PSE-36: bits 13–20 of the entry are bits 32–39 of the address; bit 21 is reserved.
      if ((entry & 0x00200000) !== 0)
        return this.#fail(code | PageFault.Present | PageFault.Reserved);
      physical =
        ((entry >>> 13) & 0xff) * 2 ** 32 + ((entry & 0xffc00000) >>> 0) + (low & 0x3fffff);
    } else {
      if ((entry & ACCESSED) === 0) this.#touch(at, entry | ACCESSED);
      leafAt = memory.offsetOf(((entry & ~0xfff) >>> 0) + ((low >>> 12) & 1023) * 4, 4);
      if (leafAt < 0) return this.#fail(code);
      leaf = view.getInt32(leafAt, true);
      if ((leaf & PRESENT) === 0) return this.#fail(code);
      physical = ((leaf & ~0xfff) >>> 0) + (low & 0xfff);
    }
    const combined = large ? entry : entry & leaf;
    const writable = (combined & WRITABLE) !== 0;
    const userPage = (combined & USER) !== 0;
    if (!permitted(mode, access, user, strict, userPage, writable, false)) {
      return this.#fail(code | PageFault.Present);
    }
    const bits = leaf | ACCESSED | (write ? DIRTY : 0);
    if (bits !== leaf) this.#touch(leafAt, bits);
    walk.physical = physical;
    walk.user = userPage;
    walk.writable = writable || (!user && !mode.writeProtect);
    walk.dirty = (bits & DIRTY) !== 0;
    walk.global = mode.globalPages && (leaf & GLOBAL) !== 0;
    walk.pageShift = large ? 22 : 12;
    return walk;
  }

  #fail(code: number): Walk {
    this.#walk.fault = code;
    return this.#walk;
  }

  /** Sets accessed or dirty in an entry's low half; the table's page may itself be watched. */
  #touch(at: number, bits: number): void {
    if (this.#memory.pageAttributes[Math.floor((at - this.#memory.ramOffset) / 4096)] !== 0) {
      if (!this.#memory.beforeWrite(at, 4)) return;
    }
    this.#memory.view.setInt32(at, bits, true);
  }
}

function permitted(
  mode: PagingMode,
  access: AccessValue,
  user: boolean,
  strict: boolean,
  userPage: boolean,
  writable: boolean,
  noExecute: boolean,
): boolean {
  if (user) {
    if (!userPage) return false;
  } else if (userPage) {
    if (access === Access.Execute ? mode.smep : strict) return false;
  }
  if (access === Access.Write) return writable || (!user && !mode.writeProtect);
  return access !== Access.Execute || !noExecute;
}

function physicalPage(low: number, high: number): number {
  return (high & ADDRESS_HIGH) * 2 ** 32 + ((low & ~0xfff) >>> 0);
}
