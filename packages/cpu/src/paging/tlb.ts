import type { GuestMemory } from "@queztl/memory";
import { CODE_TLB, TLB_BYTES, TLB_ENTRIES, TlbEntry } from "../state/layout.ts";

/** Which accesses a translation serves; each has a table of its own, so that generated code checks nothing else. */
export const TlbKind = {
  /** CPL 3. */
  User: 0,
  /** CPL 0–2 while SMAP forbids touching user pages. */
  SupervisorStrict: 1,
  /** CPL 0–2 otherwise. */
  Supervisor: 2,
} as const;

export type TlbKindValue = (typeof TlbKind)[keyof typeof TlbKind];

const DATA_TABLES = 3;
/** A table of data for each kind, then one of code for each. */
const TABLES = 2 * DATA_TABLES;
const WORDS = TlbEntry.Length >> 2;
const ADDEND = TlbEntry.Addend >> 2;
const GLOBAL = 1;
const LARGE = 2;
const INDEX_MASK = TLB_ENTRIES - 1;
/** How many 4 MiB ranges the low 32 bits of a linear address tell apart, and 1 GiB ones. */
const LARGE_RANGES = 1024;
const HUGE_RANGES = 4;

/** One translation to enter. Addresses are the page's; `linearHigh` and `linearLow` are the halves of the linear one. */
export interface Translation {
  linearLow: number;
  linearHigh: number;
  /** Offset of the page in the WebAssembly memory. */
  offset: number;
  read: boolean;
  write: boolean;
  execute: boolean;
  global: boolean;
  /** log2 of the page's size: 12, 21, 22 or 30. */
  pageShift: number;
}

/**
 * The soft TLB of one vCPU: direct-mapped tables in the WebAssembly memory, which generated code probes. Code has
 * tables of its own: a kernel lies at the same distance from two addresses, the second of which is for its data.
 * An entry is there only if the access needs nothing but the addition of an offset: MMIO, pages that watch
 * writes, and pages whose dirty bit is not yet set have no tag.
 */
export class Tlb {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #tables: readonly number[];
  /** Bits of each entry of each table; −1 in those that match nothing. */
  readonly #flags = new Int8Array(TABLES * TLB_ENTRIES).fill(-1);
  /** Indices of the entries filled since the last flush: a list for each table, then one for its global entries. */
  readonly #filled: readonly Int32Array[];
  readonly #counts = new Int32Array(2 * TABLES);
  /** 1 where an index is in a list: once, however often its entry becomes global and no longer is. */
  readonly #listed = new Uint8Array(2 * TABLES * TLB_ENTRIES);
  /** Where large pages were entered since the last flush of all, by bits 22–31 of a linear address, huge ones by 30–31. */
  readonly #large = new Uint8Array(LARGE_RANGES);
  readonly #huge = new Uint8Array(HUGE_RANGES);

  constructor(memory: GuestMemory) {
    this.#words = new Int32Array(memory.arena.bytes.buffer);
    const data = Array.from({ length: DATA_TABLES }, () => memory.allocate(2 * TLB_BYTES, 4096));
    this.#tables = [...data, ...data.map((table) => table + CODE_TLB)];
    this.#filled = Array.from({ length: 2 * TABLES }, () => new Int32Array(TLB_ENTRIES));
    for (const table of this.#tables) {
      for (let index = 0; index < TLB_ENTRIES; index++) this.#forget(table >> 2, index);
    }
  }

  /** Offset of a kind's table of data in the WebAssembly memory, for `State.Tlb`. */
  table(kind: TlbKindValue): number {
    return this.#tables[kind] as number;
  }

  /** Enters a translation, for code or for data. */
  fill(kind: TlbKindValue, t: Translation, code: boolean): void {
    const index = (t.linearLow >>> 12) & INDEX_MASK;
    const table = code ? kind + DATA_TABLES : kind;
    const at = ((this.#tables[table] as number) >> 2) + index * WORDS;
    const words = this.#words;
    this.#remember(t.global ? table + TABLES : table, index);
    const low = t.linearLow & ~0xfff;
    this.#tag(at, t.read && !code, low, t.linearHigh);
    this.#tag(at + 2, t.write && !code, low, t.linearHigh);
    this.#tag(at + 4, t.execute && code, low, t.linearHigh);
    // 64 bits of offset less linear address, in halves.
    const borrow = t.offset % 2 ** 32 < low >>> 0 ? 1 : 0;
    words[at + ADDEND] = (t.offset - low) | 0;
    words[at + ADDEND + 1] = Math.floor(t.offset / 2 ** 32) - t.linearHigh - borrow;
    this.#flags[table * TLB_ENTRIES + index] =
      (t.global ? GLOBAL : 0) | (t.pageShift > 12 ? LARGE : 0);
    if (t.pageShift > 12) this.#large[low >>> 22] = 1;
    if (t.pageShift === 30) this.#huge[low >>> 30] = 1;
  }

  /**
   * The offset in the WebAssembly memory of a linear address if its page is entered for this access
   * (0 read, 1 write, 2 execute), else −1.
   */
  probe(kind: TlbKindValue, linearLow: number, linearHigh: number, access: 0 | 1 | 2): number {
    const index = (linearLow >>> 12) & INDEX_MASK;
    const table = access === 2 ? kind + DATA_TABLES : kind;
    const at = ((this.#tables[table] as number) >> 2) + index * WORDS;
    const words = this.#words;
    const tag = at + access * 2;
    if (words[tag] !== (linearLow & ~0xfff) || words[tag + 1] !== linearHigh) return -1;
    return this.#place(at, linearLow, linearHigh);
  }

  /** Drops every translation, or all but the global ones. */
  flush(keepGlobal: boolean): void {
    for (let table = 0; table < TABLES; table++) {
      this.#drop(table, table, keepGlobal);
      if (!keepGlobal) this.#drop(table, table + TABLES, false);
    }
    if (keepGlobal) return;
    this.#large.fill(0);
    this.#huge.fill(0);
  }

  #drop(table: number, list: number, keepGlobal: boolean): void {
    const filled = this.#filled[list] as Int32Array;
    const base = (this.#tables[table] as number) >> 2;
    const count = this.#counts[list] as number;
    for (let i = 0; i < count; i++) {
      const index = filled[i] as number;
      this.#listed[list * TLB_ENTRIES + index] = 0;
      const flagsAt = table * TLB_ENTRIES + index;
      if (keepGlobal && (this.#flags[flagsAt] as number) & GLOBAL) continue;
      this.#forget(base, index);
      this.#flags[flagsAt] = -1;
    }
    this.#counts[list] = 0;
  }

  #remember(list: number, index: number): void {
    const listedAt = list * TLB_ENTRIES + index;
    if (this.#listed[listedAt] === 1) return;
    this.#listed[listedAt] = 1;
    const count = this.#counts[list] as number;
    (this.#filled[list] as Int32Array)[count] = index;
    this.#counts[list] = count + 1;
  }

  /** Drops the translations of the page, of any size, that holds a linear address (INVLPG). */
  flushPage(linearLow: number): void {
    if (this.#huge[linearLow >>> 30] === 1) {
      this.flush(false);
      return;
    }
    const exact = (linearLow >>> 12) & INDEX_MASK;
    for (const table of this.#tables) this.#forget(table >> 2, exact);
    if (this.#large[linearLow >>> 22] === 0) return;
    // A 4 MiB page covers 1024 entries, a 2 MiB page 512 of them: dropping the larger range is correct for both.
    const first = exact & ~1023;
    this.#tables.forEach((table, number) => {
      for (let index = first; index < first + 1024; index++) {
        const flags = this.#flags[number * TLB_ENTRIES + index] as number;
        if (flags !== -1 && flags & LARGE) this.#forget(table >> 2, index);
      }
    });
  }

  /** Drops every permission to write, and to write only: pages became protected. */
  forbidWrites(): void {
    this.#eachFilled((at, index) => this.#forbid(at + 2, index));
  }

  /** Drops permissions to write one page of RAM, by its offset in the WebAssembly memory. */
  forbidPageWrites(pageOffset: number): void {
    const words = this.#words;
    this.#eachFilled((at, index) => {
      const low = words[at + 2] as number;
      if (((low >>> 12) & INDEX_MASK) !== index) return;
      const high = words[at + 3] as number;
      if (this.#place(at, low, high) === pageOffset) this.#forbid(at + 2, index);
    });
  }

  /** Every entry of data. */
  #eachFilled(visit: (at: number, index: number) => void): void {
    this.#filled.forEach((filled, list) => {
      if (list % TABLES >= DATA_TABLES) return;
      const base = (this.#tables[list % TABLES] as number) >> 2;
      const count = this.#counts[list] as number;
      for (let i = 0; i < count; i++) {
        const index = filled[i] as number;
        visit(base + index * WORDS, index);
      }
    });
  }

  /** Offset of a linear address by the entry at `at`. */
  #place(at: number, linearLow: number, linearHigh: number): number {
    const words = this.#words;
    const low = (linearLow >>> 0) + ((words[at + ADDEND] as number) >>> 0);
    const high = linearHigh + (words[at + ADDEND + 1] as number) + (low >= 2 ** 32 ? 1 : 0);
    return (high | 0) * 2 ** 32 + (low >>> 0);
  }

  #tag(at: number, allowed: boolean, low: number, high: number): void {
    if (!allowed) {
      this.#forbid(at, (low >>> 12) & INDEX_MASK);
      return;
    }
    this.#words[at] = low;
    this.#words[at + 1] = high;
  }

  /** A tag that nothing matches: of a page that has its entry elsewhere. */
  #forbid(at: number, index: number): void {
    this.#words[at] = ~index << 12;
    this.#words[at + 1] = -1;
  }

  /** Makes an entry match nothing; it stays in the list of filled ones. */
  #forget(base: number, index: number): void {
    const at = base + index * WORDS;
    for (let tag = at; tag < at + ADDEND; tag += 2) this.#forbid(tag, index);
  }
}
