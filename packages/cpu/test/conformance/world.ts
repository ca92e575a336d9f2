import type { Machine, ProcessorState, RunEnd, SegmentState } from "./machine.ts";

/** Where things lie; guest-physical, and linear too for the supervisor. */
export const At = {
  gdt: 0x2000,
  idt: 0x3000,
  tss: 0x4000,
  /** One HLT for each vector. */
  handlers: 0x5000,
  stackTop: 0x7000,
  /** RSP0 or ESP0: where entries from other levels push. */
  innerTop: 0x8000,
  /** IST1. */
  istTop: 0x9000,
  ldt: 0x9800,
  userStackTop: 0xb000,
  code: 0x10000,
  data: 0x20000,
  tables: 0x100000,
} as const;

/** Linear addresses that programs at privilege level 3 use for their code and stack pages. */
export const User = { code: 0x400000n, stackTop: 0x501000n } as const;

export const Selector = {
  code64: 0x08,
  data: 0x10,
  code32: 0x18,
  userCode32: 0x23,
  userData: 0x2b,
  userCode64: 0x33,
  code16: 0x38,
  tss: 0x40,
  /** Slots that cases fill. */
  free: 0x50,
} as const;

/** Page-table entry bits. */
export const P = 1n;
export const W = 2n;
export const U = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const LARGE = 0x80n;
export const G = 0x100n;
export const NX = 1n << 63n;

export type Mode = "real" | "protected" | "long";
export type Paging = "none" | "32-bit" | "pae" | "4-level";

export interface WorldOptions {
  readonly mode: Mode;
  /** Privilege level at the start; 3 by the user addresses. */
  readonly cpl?: 0 | 3;
  readonly paging?: Paging;
  /** 32-bit code under IA-32e mode. */
  readonly compatibility?: boolean;
}

const ERROR_CODES = new Set([8, 10, 11, 12, 13, 14, 17]);

/** How a program ended. */
export interface Ending {
  readonly end: RunEnd;
  /** The handler that halted, if one did. */
  readonly vector?: number;
  readonly error?: number;
  /** The frame that the handler found, from the saved instruction pointer upwards. */
  readonly frame: readonly bigint[];
  readonly state: ProcessorState;
}

export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/\s/g, "").match(/../g) ?? [], (byte) =>
    Number.parseInt(byte, 16),
  );
}

/** Little-endian hexadecimal, for use inside programs. */
export function le(value: bigint | number, bytes: number): string {
  const wide = BigInt.asUintN(bytes * 8, BigInt(value));
  return Array.from({ length: bytes }, (_, i) =>
    ((wide >> BigInt(8 * i)) & 0xffn).toString(16).padStart(2, "0"),
  ).join("");
}

export function descriptor(base: number, limit: number, access: number, flags: number): bigint {
  const [b, l] = [BigInt(base), BigInt(limit)];
  return (
    (l & 0xffffn) |
    ((b & 0xffffffn) << 16n) |
    (BigInt(access) << 40n) |
    (((l >> 16n) & 0xfn) << 48n) |
    (BigInt(flags) << 52n) |
    ((b >> 24n) << 56n)
  );
}

/** An interrupt gate's or call gate's first eight bytes. */
export function gate(selector: number, offset: number, access: number, low = 0): bigint {
  const at = BigInt(offset);
  return (
    (at & 0xffffn) |
    (BigInt(selector) << 16n) |
    (BigInt(low) << 32n) |
    (BigInt(access) << 40n) |
    ((at >> 16n) << 48n)
  );
}

/** A small machine's contents: tables, handlers, page tables, one processor's state. */
export class World {
  readonly machine: Machine;
  readonly mode: Mode;
  readonly state: ProcessorState;
  readonly #paging: Paging;
  #nextTable: number = At.tables + 0x1000;

  constructor(machine: Machine, options: WorldOptions) {
    const { mode, cpl = 0 } = options;
    this.machine = machine;
    this.mode = mode;
    this.#paging = options.paging ?? (mode === "long" ? "4-level" : "none");
    machine.portWrites.length = 0;
    machine.write(0, new Uint8Array(0x20000));
    machine.write(At.data, new Uint8Array(0x4000));
    machine.write(At.tables, new Uint8Array(0x40000));
    machine.write(At.handlers, new Uint8Array(256).fill(0xf4));
    this.#writeTables();
    this.state = this.#initialState(cpl, options.compatibility === true);
    if (this.#paging !== "none") {
      for (let page = 0; page < 0x30; page++) this.page(BigInt(page << 12), page << 12, P | W);
      this.page(User.code, At.code, P | U);
      this.page(User.code + 0x1000n, At.code + 0x1000, P | U);
      this.page(User.stackTop - 0x1000n, At.userStackTop - 0x1000, P | W | U);
    }
  }

  #writeTables(): void {
    const gdt = [
      0n,
      descriptor(0, 0xfffff, 0x9b, 0xa),
      descriptor(0, 0xfffff, 0x93, 0xc),
      descriptor(0, 0xfffff, 0x9b, 0xc),
      descriptor(0, 0xfffff, 0xfb, 0xc),
      descriptor(0, 0xfffff, 0xf3, 0xc),
      descriptor(0, 0xfffff, 0xfb, 0xa),
      descriptor(0, 0xffff, 0x9b, 0),
      descriptor(At.tss, 0x67, 0x8b, 0),
      0n,
    ];
    gdt.forEach((value, index) => this.u64(At.gdt + index * 8, value));
    if (this.mode === "long") {
      this.u64(At.tss + 4, BigInt(At.innerTop));
      this.u64(At.tss + 36, BigInt(At.istTop));
    } else {
      this.u32(At.tss + 4, At.innerTop);
      this.u32(At.tss + 8, Selector.data);
    }
    this.u16(At.tss + 102, 0x68);
    for (let vector = 0; vector < 256; vector++) this.gate(vector, {});
  }

  /** Sets an IDT entry: an interrupt gate to the vector's handler unless told otherwise. */
  gate(
    vector: number,
    options: {
      type?: number;
      dpl?: number;
      selector?: number;
      offset?: number;
      ist?: number;
      present?: boolean;
    },
  ): void {
    const { type = 14, dpl = 0, offset = At.handlers + vector, ist = 0, present = true } = options;
    const access = (present ? 0x80 : 0) | (dpl << 5) | type;
    if (this.mode === "real") {
      this.u32(vector * 4, ((At.handlers >> 4) << 16) | (offset - At.handlers));
    } else if (this.mode === "long") {
      this.u64(
        At.idt + vector * 16,
        gate(options.selector ?? Selector.code64, offset, access, ist),
      );
      this.u64(At.idt + vector * 16 + 8, 0n);
    } else {
      this.u64(At.idt + vector * 8, gate(options.selector ?? Selector.code32, offset, access));
    }
  }

  #initialState(cpl: 0 | 3, compatibility: boolean): ProcessorState {
    const { mode } = this;
    const real = mode === "real";
    const flat = (selector: number, attributes: number): SegmentState => ({
      selector,
      base: 0n,
      limit: 0xffffffff,
      attributes,
    });
    const wide = mode === "long" && !compatibility;
    const dpl = cpl << 5;
    const code = wide ? 0xa9b : 0xc9b;
    const codeSelector = wide
      ? cpl === 3
        ? Selector.userCode64
        : Selector.code64
      : cpl === 3
        ? Selector.userCode32
        : Selector.code32;
    const realSegment = (selector: number): SegmentState => ({
      selector,
      base: BigInt(selector << 4),
      limit: 0xffff,
      attributes: 0x93,
    });
    const data = real
      ? realSegment(0)
      : flat(cpl === 3 ? Selector.userData : Selector.data, 0xc93 | dpl);
    const paged = this.#paging !== "none";
    const cr4 =
      (this.#paging === "pae" || this.#paging === "4-level" ? 0x20 : 0) |
      (paged ? 0x10 : 0) |
      0x600;
    return {
      registers: Array.from({ length: 16 }, (_, i) =>
        i === 4
          ? cpl === 3 && paged
            ? User.stackTop - 0x100n
            : BigInt(cpl === 3 ? At.userStackTop : At.stackTop)
          : 0n,
      ),
      rip: real ? 0n : cpl === 3 && paged ? User.code : BigInt(At.code),
      rflags: 2,
      segments: {
        cs: real ? realSegment(At.code >> 4) : flat(codeSelector, code | dpl),
        ss: data,
        ds: { ...data },
        es: { ...data },
        fs: { ...data },
        gs: { ...data },
        ldtr: { selector: 0, base: 0n, limit: 0xffff, attributes: 0x82 },
        tr: real
          ? { selector: 0, base: 0n, limit: 0xffff, attributes: 0x8b }
          : { selector: Selector.tss, base: BigInt(At.tss), limit: 0x67, attributes: 0x8b },
      },
      gdtr: { base: BigInt(At.gdt), limit: 0xff },
      idtr: real
        ? { base: 0n, limit: 0x3ff }
        : { base: BigInt(At.idt), limit: mode === "long" ? 0xfff : 0x7ff },
      cr0: ((real ? 0 : 1) | 0x32 | (paged ? 0x80010000 : 0)) >>> 0,
      cr2: 0n,
      cr3: BigInt(At.tables),
      cr4,
      cr8: 0,
      efer: mode === "long" ? 0xd01 : this.#paging === "pae" ? 0x800 : 0,
      debug: [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n],
      msrs: {},
    };
  }

  u16(address: number, value: number): void {
    this.machine.write(address, hex(le(value, 2)));
  }

  u32(address: number, value: number): void {
    this.machine.write(address, hex(le(value, 4)));
  }

  u64(address: number, value: bigint): void {
    this.machine.write(address, hex(le(value, 8)));
  }

  readU64(address: number): bigint {
    const { buffer } = this.machine.read(address, 8);
    return new DataView(buffer).getBigUint64(0, true);
  }

  readU32(address: number): number {
    return Number(this.readU64(address) & 0xffffffffn);
  }

  /** Fills a descriptor slot of the GDT. */
  descriptor(selector: number, value: bigint, high?: bigint): void {
    this.u64(At.gdt + (selector & ~7), value);
    if (high !== undefined) this.u64(At.gdt + (selector & ~7) + 8, high);
  }

  /** Where the entry that maps a linear address lies, by the level at which it is a leaf (1: 4 KiB); upper entries allow everything. */
  entryAt(linear: bigint, level = 1): number {
    const legacy = this.#paging === "32-bit";
    const bits = legacy ? 10n : 9n;
    const bytes = legacy ? 4 : 8;
    const levels = legacy ? 2 : this.#paging === "pae" ? 3 : 4;
    let table = At.tables as number;
    for (let depth = levels; depth > level; depth--) {
      const at = table + this.#index(linear, depth, bits) * bytes;
      const entry = legacy ? BigInt(this.readU32(at)) : this.readU64(at);
      if ((entry & P) === 0n) {
        const rights = this.#paging === "pae" && depth === 3 ? P : P | W | U;
        const made = BigInt(this.#nextTable) | rights;
        this.#nextTable += 0x1000;
        if (legacy) this.u32(at, Number(made));
        else this.u64(at, made);
        table = Number(made & 0xffffff000n);
      } else table = Number(entry & 0xffffff000n);
    }
    return table + this.#index(linear, level, bits) * bytes;
  }

  #index(linear: bigint, level: number, bits: bigint): number {
    return Number((linear >> (12n + bits * BigInt(level - 1))) & ((1n << bits) - 1n));
  }

  /** Maps a page; `level` 2 and 3 are large ones. */
  page(linear: bigint, physical: number, bits: bigint, level = 1): void {
    const entry = BigInt(physical) | bits | (level > 1 ? LARGE : 0n);
    const at = this.entryAt(linear, level);
    if (this.#paging === "32-bit") this.u32(at, Number(entry));
    else this.u64(at, entry);
  }

  /** The entry of a page. */
  entry(linear: bigint, level = 1): bigint {
    const at = this.entryAt(linear, level);
    return this.#paging === "32-bit" ? BigInt(this.readU32(at)) : this.readU64(at);
  }

  code(program: string, at: number = At.code): void {
    this.machine.write(at, hex(program));
  }

  /** Starts processor 0 from the state and runs it. */
  start(instructions = 10_000): Ending {
    this.machine.setState(0, this.state);
    return this.resume(instructions);
  }

  resume(instructions = 10_000, processor = 0): Ending {
    const end = this.machine.run(processor, instructions);
    const state = this.machine.getState(processor);
    const linear = Number(state.rip + (this.mode === "real" ? state.segments.cs.base : 0n));
    const vector = linear - 1 - At.handlers;
    if (end !== "halt" || vector < 0 || vector > 255) return { end, frame: [], state };
    const bytes = this.mode === "long" ? 8 : this.mode === "protected" ? 4 : 2;
    const hasError = this.mode !== "real" && ERROR_CODES.has(vector);
    // Stacks lie where linear and physical addresses are the same.
    let at =
      Number(state.registers[4]) + (this.mode === "real" ? Number(state.segments.ss.base) : 0);
    const mask = (1n << BigInt(bytes * 8)) - 1n;
    const error = hasError ? Number(this.readU64(at) & 0xffffffffn) : undefined;
    if (hasError) at += bytes;
    const frame = Array.from({ length: 9 }, (_, i) => this.readU64(at + i * bytes) & mask);
    return { end, vector, frame, state, ...(error === undefined ? {} : { error }) };
  }
}

/** One case: a program in a world, and what must come of it. */
export interface Case {
  /** "what → outcome". */
  readonly name: string;
  readonly world: WorldOptions;
  /** What is different from a plain world. */
  readonly prepare?: (world: World) => void;
  /** Hexadecimal, at `At.code`; the processor starts there. */
  readonly code: string;
  readonly expect: Expectation;
}

/** Nothing or true if all is well; else false, or what is wrong. */
export type Verdict = boolean | string | number | bigint | undefined;

/** What must hold at the end; only what is named is compared. */
export interface Expectation {
  /** The exception or interrupt whose handler is reached; none: the program's own HLT. */
  readonly vector?: number;
  readonly error?: number;
  readonly cr2?: bigint;
  /** Offset in the program of the saved instruction pointer, or of the one behind the HLT. */
  readonly at?: number;
  readonly end?: RunEnd;
  readonly registers?: Readonly<Record<number, bigint>>;
  /** Whatever else. Returns what is wrong, or nothing. */
  readonly check?: (ending: Ending, world: World) => Verdict;
}

const names = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");

/** Runs a case; returns what is not as it must be. */
export function runCase(
  machine: Machine,
  { world: options, prepare, code, expect }: Case,
): string[] {
  const world = new World(machine, options);
  world.code(code);
  prepare?.(world);
  const ending = world.start();
  const wrong: string[] = [];
  const same = (what: string, wanted: unknown, found: unknown): void => {
    const show = (value: unknown): string =>
      typeof value === "bigint" || typeof value === "number"
        ? `0x${value.toString(16)}`
        : String(value);
    if (wanted !== found) wrong.push(`${what}: wanted ${show(wanted)}, found ${show(found)}`);
  };
  same("end", expect.end ?? "halt", ending.end);
  same("vector", expect.vector, ending.vector);
  if (expect.error !== undefined) same("error code", expect.error, ending.error);
  if (expect.cr2 !== undefined) same("cr2", expect.cr2, ending.state.cr2);
  if (expect.at !== undefined) {
    const rip = ending.vector === undefined ? ending.state.rip : (ending.frame[0] as bigint);
    same("rip", expect.at, Number(rip & 0xfffn));
  }
  for (const [register, value] of Object.entries(expect.registers ?? {})) {
    same(names[Number(register)] as string, value, ending.state.registers[Number(register)]);
  }
  const more = wrong.length === 0 ? expect.check?.(ending, world) : undefined;
  if (more !== undefined && more !== true) wrong.push(`check: ${String(more)}`);
  return wrong;
}
