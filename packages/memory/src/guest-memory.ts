import { memoryError } from "./errors.ts";

/** The page size of the guest and of every table here, in bytes. */
export const PAGE_BYTES = 4096;

/** Guest RAM below this guest-physical address stays below; the rest continues at 4 GiB (the PC's MMIO hole lies between). */
export const LOW_RAM_TOP = 0xc000_0000;

/** Where RAM that does not fit below the hole continues. */
export const HIGH_RAM_BASE = 0x1_0000_0000;

/** The smallest and largest guests, in bytes. The largest leaves room for the arena in the 16 GiB that V8 allows. */
export const MIN_RAM_BYTES = 64 * 1024;
export const MAX_RAM_BYTES = 15_872 * 1024 * 1024;

/** What every host has room for; larger guests need WebAssembly memories with 64-bit addresses (memory64). */
export const MAX_NARROW_RAM_BYTES = 3584 * 1024 * 1024;

/** Per-page attributes: while any is set a CPU must not write the page without asking `beforeWrite`. */
export const PageAttribute = {
  /** Decoded instructions of this page are cached: a write must invalidate them. */
  Code: 1,
  /** Dirty tracking is on and the page was not written since. */
  Clean: 2,
  /** The guest cannot write this page; writes are dropped. */
  ReadOnly: 4,
} as const;

/** A piece of guest RAM: guest-physical start, its offset in the WebAssembly memory, its length, in bytes. */
export interface RamRegion {
  readonly guestStart: number;
  readonly offset: number;
  readonly length: number;
}

/** How much memory to make. */
export interface GuestMemoryOptions {
  /** Guest RAM in bytes, a multiple of 4096. */
  readonly ramBytes: number;
  /** Host-private bytes in a WebAssembly memory, for CPU state, TLBs and decoded code; default 0. */
  readonly arenaBytes?: number;
  /** Has the RAM in a memory with 64-bit addresses although a smaller one would do; by default large guests alone do. */
  readonly wide?: boolean;
}

const WASM_PAGE = 65536;
/** What memories with 32-bit and with 64-bit addresses hold at most, in V8. */
const NARROW_BYTES = 2 ** 32;
const WIDE_BYTES = 2 ** 34;
/** Host-private bytes before the RAM in a memory of its own. */
const SCRATCH_BYTES = WASM_PAGE;

/** The host-private part: a WebAssembly memory with 32-bit addresses, and its bytes. */
export interface Arena {
  readonly wasm: WebAssembly.Memory;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
}

/**
 * Guest-physical RAM on shared `WebAssembly.Memory`. Translated code uses the memory directly; devices
 * use the bounds-checked accessors here and nothing else. Addresses are guest-physical, values
 * little-endian.
 *
 * The WebAssembly memory begins with a host-private arena (never visible to the guest), then one attribute
 * byte a page, then the RAM. Where that does not fit 32-bit addresses (`wide`), arena and attributes have a memory
 * with 32-bit addresses, and the RAM, behind a scratch area, one of its own with 64-bit ones.
 */
export class GuestMemory {
  /** The memory that holds the RAM. */
  readonly wasm: WebAssembly.Memory;
  /** Whether `wasm` has 64-bit addresses and holds the RAM alone. */
  readonly wide: boolean;
  /** Where the arena is: in the memory of the RAM unless that is `wide`. */
  readonly arena: Arena;
  /** All of `wasm`. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  readonly ramBytes: number;
  /** Offset of guest-physical 0 in `wasm`. */
  readonly ramOffset: number;
  readonly regions: readonly RamRegion[];
  /** One byte of `PageAttribute` bits a page of RAM, in the order of the RAM's offsets. */
  readonly pageAttributes: Uint8Array<SharedArrayBuffer>;
  /** Offset of `pageAttributes` in the arena's memory. */
  readonly attributesOffset: number;

  readonly #lowBytes: number;
  readonly #arenaBytes: number;
  #arenaUsed = PAGE_BYTES;
  // Offset 0 means none.
  #scratchUsed = 64;
  #codeListeners: ((offset: number, length: number) => void)[] = [];
  #protectListeners: (() => void)[] = [];
  #tracking = false;

  /**
   * @throws QZ_MEMORY_SIZE for a size that is no multiple of 4096 or out of range,
   * QZ_MEMORY_UNAVAILABLE when the host cannot reserve the address space, QZ_MEMORY_NARROW when it needs 64-bit
   * addresses that the host's WebAssembly does not have.
   */
  constructor(options: GuestMemoryOptions) {
    const { ramBytes, arenaBytes = 0 } = options;
    const possible =
      Number.isSafeInteger(ramBytes) &&
      ramBytes % PAGE_BYTES === 0 &&
      ramBytes >= MIN_RAM_BYTES &&
      ramBytes <= MAX_RAM_BYTES;
    if (!possible) {
      throw memoryError("QZ_MEMORY_SIZE", {
        bytes: String(ramBytes),
        least: MIN_RAM_BYTES,
        most: MAX_RAM_BYTES,
      });
    }
    const arena = roundUp(Math.max(arenaBytes, PAGE_BYTES), PAGE_BYTES);
    const attributes = roundUp(ramBytes / PAGE_BYTES, PAGE_BYTES);
    this.#arenaBytes = arena;
    this.attributesOffset = arena;
    this.ramBytes = ramBytes;
    const arenaEnd = roundUp(arena + attributes, WASM_PAGE);
    this.wide = options.wide === true || arenaEnd + ramBytes > NARROW_BYTES;
    if (this.wide && !hasWideMemories()) {
      throw memoryError("QZ_MEMORY_NARROW", { bytes: ramBytes, most: MAX_NARROW_RAM_BYTES });
    }
    this.ramOffset = this.wide ? SCRATCH_BYTES : arenaEnd;
    this.wasm = reserve(this.ramOffset + ramBytes, this.wide);
    this.arena = arenaOf(this.wide ? reserve(arenaEnd, false) : this.wasm);
    ({ bytes: this.bytes, view: this.view } = this.wide ? arenaOf(this.wasm) : this.arena);
    this.pageAttributes = new Uint8Array(this.arena.bytes.buffer, arena, ramBytes / PAGE_BYTES);
    this.#lowBytes = Math.min(ramBytes, LOW_RAM_TOP);
    const low = { guestStart: 0, offset: this.ramOffset, length: this.#lowBytes };
    const high = {
      guestStart: HIGH_RAM_BASE,
      offset: this.ramOffset + this.#lowBytes,
      length: ramBytes - this.#lowBytes,
    };
    this.regions = high.length > 0 ? [low, high] : [low];
  }

  /**
   * Takes `length` host-private bytes from the arena, zeroed, and returns their offset in the arena's WebAssembly
   * memory. They are never given back.
   * @throws QZ_MEMORY_ARENA_FULL
   */
  allocate(length: number, align = 64): number {
    const offset = roundUp(this.#arenaUsed, align);
    if (!(length >= 0 && offset + length <= this.#arenaBytes)) {
      throw memoryError("QZ_MEMORY_ARENA_FULL", { bytes: length });
    }
    this.#arenaUsed = offset + length;
    return offset;
  }

  /**
   * Takes host-private bytes, on a multiple of 64, in the memory that holds the RAM, for accesses that cannot go to RAM.
   * @throws QZ_MEMORY_ARENA_FULL
   */
  allocateBesideRam(length: number): number {
    if (!this.wide) return this.allocate(length);
    const offset = roundUp(this.#scratchUsed, 64);
    if (!(length >= 0 && offset + length <= SCRATCH_BYTES)) {
      throw memoryError("QZ_MEMORY_ARENA_FULL", { bytes: length });
    }
    this.#scratchUsed = offset + length;
    return offset;
  }

  /** Offset in the WebAssembly memory of `length` bytes at a guest-physical address, or -1 if they are not all in one RAM region. */
  offsetOf(address: number, length: number): number {
    if (!(address >= 0 && length >= 0)) return -1;
    if (address + length <= this.#lowBytes) return this.ramOffset + address;
    const high = address - HIGH_RAM_BASE;
    if (high >= 0 && high + length <= this.ramBytes - this.#lowBytes) {
      return this.ramOffset + this.#lowBytes + high;
    }
    return -1;
  }

  /** The guest-physical address of an offset that lies in RAM. */
  addressOf(offset: number): number {
    const at = offset - this.ramOffset;
    return at < this.#lowBytes ? at : at - this.#lowBytes + HIGH_RAM_BASE;
  }

  /** Whether `length` bytes at `address` lie wholly in one region of RAM. */
  contains(address: number, length: number): boolean {
    return this.offsetOf(address, length) >= 0;
  }

  /**
   * Bytes of RAM to read, as a view that aliases guest memory: the guest may change it at any time, so read
   * each field once. Not for writing: `writeBytes` also tells the CPU.
   * @throws QZ_MEMORY_OUT_OF_RANGE
   */
  readView(address: number, length: number): Uint8Array<SharedArrayBuffer> {
    const offset = this.#ram(address, length);
    return this.bytes.subarray(offset, offset + length);
  }

  /**
   * Bytes of RAM that the caller will overwrite now, as a view. Dirty tracking and cached code are told
   * before it returns. Where any of the pages is read-only it is a view of no guest's memory, so that what
   * is written is dropped; that holds for all writing methods.
   * @throws QZ_MEMORY_OUT_OF_RANGE
   */
  writeView(address: number, length: number): Uint8Array<SharedArrayBuffer> {
    const offset = this.#writable(address, length);
    if (offset < 0) return new Uint8Array(new SharedArrayBuffer(length));
    return this.bytes.subarray(offset, offset + length);
  }

  /** A copy of `length` bytes. @throws QZ_MEMORY_OUT_OF_RANGE */
  readBytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.readView(address, length));
  }

  /** @throws QZ_MEMORY_OUT_OF_RANGE */
  writeBytes(address: number, bytes: Uint8Array): void {
    this.writeView(address, bytes.length).set(bytes);
  }

  readUint8(address: number): number {
    return this.bytes[this.#ram(address, 1)] as number;
  }

  readUint16(address: number): number {
    return this.view.getUint16(this.#ram(address, 2), true);
  }

  readUint32(address: number): number {
    return this.view.getUint32(this.#ram(address, 4), true);
  }

  readUint64(address: number): bigint {
    return this.view.getBigUint64(this.#ram(address, 8), true);
  }

  writeUint8(address: number, value: number): void {
    const offset = this.#writable(address, 1);
    if (offset >= 0) this.bytes[offset] = value;
  }

  writeUint16(address: number, value: number): void {
    const offset = this.#writable(address, 2);
    if (offset >= 0) this.view.setUint16(offset, value, true);
  }

  writeUint32(address: number, value: number): void {
    const offset = this.#writable(address, 4);
    if (offset >= 0) this.view.setUint32(offset, value, true);
  }

  writeUint64(address: number, value: bigint): void {
    const offset = this.#writable(address, 8);
    if (offset >= 0) this.view.setBigUint64(offset, value, true);
  }

  /**
   * Makes pages read-only for the guest and its devices (ROM).
   * @throws QZ_MEMORY_OUT_OF_RANGE, and QZ_MEMORY_MISALIGNED unless `address` and `length` are multiples of 4096.
   */
  protect(address: number, length: number): void {
    if (address % PAGE_BYTES !== 0 || length % PAGE_BYTES !== 0) {
      throw memoryError("QZ_MEMORY_MISALIGNED", {
        name: "read-only memory",
        base: `0x${address.toString(16)}`,
        length,
        unit: PAGE_BYTES,
        limit: this.ramBytes,
      });
    }
    const first = (this.#ram(address, length) - this.ramOffset) / PAGE_BYTES;
    for (let page = first; page < first + length / PAGE_BYTES; page++) {
      this.#setAttribute(page, PageAttribute.ReadOnly);
    }
    this.#reprotect();
  }

  /**
   * Tells the memory that `length` bytes at a RAM offset (in the WebAssembly memory) are about to be
   * written on a page that has attributes: marks it dirty, invalidates code.
   * @returns false if the page is read-only for the guest and the write must be dropped.
   */
  beforeWrite(offset: number, length: number): boolean {
    let writable = true;
    const first = Math.floor((offset - this.ramOffset) / PAGE_BYTES);
    const last = Math.floor((offset + length - 1 - this.ramOffset) / PAGE_BYTES);
    for (let page = first; page <= last; page++) {
      const attributes = this.pageAttributes[page] as number;
      if (attributes === 0) continue;
      if (attributes & PageAttribute.ReadOnly) writable = false;
      if (attributes & PageAttribute.Clean) {
        this.pageAttributes[page] = (this.pageAttributes[page] as number) & ~PageAttribute.Clean;
      }
      if (attributes & PageAttribute.Code) {
        const start = Math.max(offset, this.ramOffset + page * PAGE_BYTES);
        const end = Math.min(offset + length, this.ramOffset + (page + 1) * PAGE_BYTES);
        for (const listener of this.#codeListeners) listener(start, end - start);
      }
    }
    return writable;
  }

  /** `listener(offset, length)` is called before bytes on a page with `PageAttribute.Code` are written; `offset` is in the WebAssembly memory. */
  onCodeWrite(listener: (offset: number, length: number) => void): void {
    this.#codeListeners.push(listener);
  }

  /** `listener` is called when pages became write-protected (dirty tracking, ROM): cached permissions to write must go. */
  onProtect(listener: () => void): void {
    this.#protectListeners.push(listener);
  }

  /** Starts, or starts again, recording which pages are written. */
  startDirtyTracking(): void {
    this.#tracking = true;
    for (let page = 0; page < this.pageAttributes.length; page++) {
      this.#setAttribute(page, PageAttribute.Clean);
    }
    this.#reprotect();
  }

  stopDirtyTracking(): void {
    this.#tracking = false;
    for (let page = 0; page < this.pageAttributes.length; page++) {
      this.pageAttributes[page] = (this.pageAttributes[page] as number) & ~PageAttribute.Clean;
    }
  }

  /** The guest-physical addresses of the pages written since tracking started or was last asked; tracking goes on. */
  takeDirtyPages(): number[] {
    const dirty: number[] = [];
    if (!this.#tracking) return dirty;
    for (let page = 0; page < this.pageAttributes.length; page++) {
      if ((this.pageAttributes[page] as number) & PageAttribute.Clean) continue;
      dirty.push(this.addressOf(this.ramOffset + page * PAGE_BYTES));
      this.#setAttribute(page, PageAttribute.Clean);
    }
    if (dirty.length > 0) this.#reprotect();
    return dirty;
  }

  #setAttribute(page: number, attribute: number): void {
    this.pageAttributes[page] = (this.pageAttributes[page] as number) | attribute;
  }

  #reprotect(): void {
    for (const listener of this.#protectListeners) listener();
  }

  #ram(address: number, length: number): number {
    const offset = this.offsetOf(address, length);
    if (offset < 0) {
      throw memoryError("QZ_MEMORY_OUT_OF_RANGE", { address: `0x${address.toString(16)}`, length });
    }
    return offset;
  }

  /** The offset to write to, or -1 if the write is to be dropped. */
  #writable(address: number, length: number): number {
    const offset = this.#ram(address, length);
    return length === 0 || this.beforeWrite(offset, length) ? offset : -1;
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** @throws QZ_MEMORY_UNAVAILABLE */
function reserve(bytes: number, wide: boolean): WebAssembly.Memory {
  const pages = Math.ceil(bytes / WASM_PAGE);
  try {
    if (!(bytes <= (wide ? WIDE_BYTES : NARROW_BYTES))) {
      throw new RangeError("WebAssembly's memories are smaller");
    }
    return wide
      ? createWide(pages)
      : new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw memoryError("QZ_MEMORY_UNAVAILABLE", { bytes: pages * WASM_PAGE }, { cause });
  }
}

function arenaOf(wasm: WebAssembly.Memory): Arena {
  const buffer = wasm.buffer as unknown as SharedArrayBuffer;
  return { wasm, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** The options of a memory with 64-bit addresses, which are newer than the types. */
interface WideDescriptor {
  readonly address: "i64";
  readonly initial: bigint;
  readonly maximum: bigint;
  readonly shared: true;
}

function createWide(pages: number): WebAssembly.Memory {
  const count = BigInt(pages);
  const wide: WideDescriptor = { address: "i64", initial: count, maximum: count, shared: true };
  return new WebAssembly.Memory(wide as unknown as WebAssembly.MemoryDescriptor);
}

let wideMemories: boolean | undefined;

/** The most RAM that a guest can have on this host, in bytes: less where WebAssembly has no memories with 64-bit addresses. */
export function mostRamBytes(): number {
  return hasWideMemories() ? MAX_RAM_BYTES : MAX_NARROW_RAM_BYTES;
}

/** Whether the host's WebAssembly has memories with 64-bit addresses, and several memories in a module. */
function hasWideMemories(): boolean {
  // Two of memory 0 0 shared, the second i64; and older engines ignore the option or refuse it.
  const memories = [5, 7, 2, 3, 0, 0, 7, 0, 0];
  const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...memories);
  try {
    wideMemories ??= WebAssembly.validate(module) && createWide(1).buffer.byteLength === WASM_PAGE;
  } catch {
    wideMemories = false;
  }
  return wideMemories;
}
