import { PAGE_BYTES } from "@queztl/memory";
import type { AccessSize, Bus, GuestMemory } from "@queztl/memory";
import { Access, PageWalker } from "../paging/page-walk.ts";
import type { AccessValue, PagingMode } from "../paging/page-walk.ts";
import { Tlb, TlbKind } from "../paging/tlb.ts";
import type { TlbKindValue, Translation } from "../paging/tlb.ts";
import { Flag, State } from "../state/layout.ts";
import { Vector, raise } from "./guest-fault.ts";

/** What an access that is not plain RAM inside one page left to be done after its bytes are in the bounce buffer. */
interface PendingWrite {
  bytes: number;
  /** Guest-physical addresses of the two parts, and the bytes of the first. */
  first: number;
  second: number;
  split: number;
  active: boolean;
}

/** Takes 64-bit addresses apart without making further big integers. */
const whole = new BigUint64Array(1);
const halves = new Int32Array(whole.buffer);

/** As much as `State.Bounce` has. */
const BOUNCE_BYTES = 64;

/** Physical address space beside RAM: devices, and the vCPU's own local APIC page. */
export interface PhysicalSpace {
  readonly memory: GuestMemory;
  readonly mmio: Bus;
  /** Handles an access to the local APIC's page if this is one; returns undefined if it is not. */
  apicRead?(address: number): number | undefined;
  apicWrite?(address: number, value: number): boolean;
}

/**
 * Guest memory by linear address, as one vCPU sees it: the slow half of what generated code does inline, and
 * the accessors that helpers use. Addresses are unsigned 64-bit bigints in the accessors; the halves of one,
 * as 32-bit integers, where generated code calls.
 */
export class LinearMemory {
  readonly tlb: Tlb;
  readonly paging: PagingMode = {
    enabled: false,
    levels: 2,
    writeProtect: false,
    noExecute: false,
    smep: false,
    smap: false,
    largePages: false,
    globalPages: false,
    root: 0,
    pointers: [],
  };
  /** 64-bit mode: addresses must be canonical. Otherwise they wrap at 4 GiB. */
  long = false;
  /** The privilege of accesses where it is not the current one, while an event is delivered to another level. */
  assumedCpl: number | undefined;
  /** CR0.AM, RFLAGS.AC and CPL 3: misaligned data accesses fault. */
  alignmentChecked = false;
  /** The address that the last #GP was about if it was not canonical: it may have to become #SS. */
  nonCanonical: bigint | undefined;
  /** Called for each data access that misses the TLB while breakpoints watch data. */
  watch: ((low: number, high: number, bytes: number, write: boolean) => void) | undefined;

  readonly #space: PhysicalSpace;
  readonly #memory: GuestMemory;
  readonly #walker: PageWalker;
  readonly #state: number;
  /** Offset of the bounce buffer, in the memory that the RAM is in. */
  readonly bounce: number;
  readonly #arena: DataView;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #pending: PendingWrite = { bytes: 0, first: 0, second: 0, split: 0, active: false };
  readonly #translation: Translation = {
    linearLow: 0,
    linearHigh: 0,
    offset: 0,
    read: false,
    write: false,
    execute: false,
    global: false,
    pageShift: 12,
  };

  constructor(space: PhysicalSpace, state: number) {
    this.#space = space;
    this.#memory = space.memory;
    this.#walker = new PageWalker(space.memory);
    this.#state = state;
    this.bounce = space.memory.wide
      ? space.memory.allocateBesideRam(BOUNCE_BYTES)
      : state + State.Bounce;
    this.#arena = space.memory.arena.view;
    this.#view = space.memory.view;
    this.#bytes = space.memory.bytes;
    this.tlb = new Tlb(space.memory);
  }

  /** Whether accesses are made with user privilege. */
  get user(): boolean {
    return (this.assumedCpl ?? this.#arena.getUint32(this.#state + State.Cpl, true)) === 3;
  }

  /** SMAP is on and AC clear: supervisor data accesses must not touch user pages. */
  get strict(): boolean {
    const flags = this.#arena.getUint32(this.#state + State.SystemFlags, true);
    return this.paging.smap && (flags & Flag.Ac) === 0;
  }

  /** The TLB table that serves the current privilege. */
  get kind(): TlbKindValue {
    return kindOf(this.user, this.strict);
  }

  /**
   * Generated code's slow path: offset in the WebAssembly memory at which the access can be made, which is
   * the bounce buffer if it crosses a page, is no RAM, or is watched. Faults are thrown.
   * @param request bytes, and access << 8: 0 read, 1 write, 2 read and write, 3 write of `State.Reach` bytes unless
   * it is the bounce buffer.
   */
  translate(low: number, high: number, request: number): number {
    const bytes = request & 0xff;
    const access = request >> 8;
    this.#pending.active = false;
    this.checkAddress(low, high, bytes);
    if (this.alignmentChecked && bytes <= 16 && (low & (bytes - 1)) !== 0) {
      raise(Vector.AlignmentCheck, 0);
    }
    const want = access === 0 ? Access.Read : Access.Write;
    const room = PAGE_BYTES - (low & 0xfff);
    const first = this.physical(low, high, want, this.user, this.strict);
    this.watch?.(low, high, bytes, access !== 0);
    // Watched accesses are made one by one: the bounce buffer keeps string instructions from taking many.
    if (bytes <= room && this.watch === undefined) {
      const offset = this.#memory.offsetOf(first, bytes);
      if (offset >= 0 && (access === 0 || this.#attributes(offset) === 0)) return offset;
      // What watches the page hears of the whole round: how long that is must not depend on cached code.
      if (offset >= 0 && access === 3) {
        const reach = this.#arena.getUint32(this.#state + State.Reach, true);
        if (this.#memory.beforeWrite(offset, reach)) return offset;
      }
    }
    const pending = this.#pending;
    pending.first = first;
    pending.split = Math.min(bytes, room);
    pending.bytes = bytes;
    if (bytes > room) {
      const next = (low + room) | 0;
      const nextHigh = next === 0 ? (this.long ? high + 1 : 0) | 0 : high;
      pending.second = this.physical(next, nextHigh, want, this.user, this.strict);
    }
    pending.active = access !== 0;
    const { bounce } = this;
    // A pure write to a device must not read it first.
    if (access === 0 || access === 2) {
      this.#readPhysical(first, bounce, pending.split);
      if (bytes > room) this.#readPhysical(pending.second, bounce + room, bytes - room);
    }
    return bounce;
  }

  /** Carries out the write whose bytes are now in the bounce buffer. */
  finishWrite(): void {
    const pending = this.#pending;
    if (!pending.active) return;
    pending.active = false;
    const { bounce } = this;
    const { bytes, split } = pending;
    this.#writePhysical(pending.first, bounce, split);
    if (bytes > split) this.#writePhysical(pending.second, bounce + split, bytes - split);
  }

  /** Throws the fault of an address that is not canonical in 64-bit mode. */
  checkAddress(low: number, high: number, bytes: number): void {
    if (!this.long) return;
    const top = high >> 15;
    const canonical = top === 0 ? high !== 0x7fff || (low >>> 0) + bytes <= 2 ** 32 : top === -1;
    if (canonical) return;
    this.nonCanonical = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    raise(Vector.GeneralProtection, 0);
  }

  /** Guest-physical address of a linear one; enters it in the TLB where it may be used directly. Throws #PF. */
  physical(low: number, high: number, access: AccessValue, user: boolean, strict: boolean): number {
    const walk = this.#walker.walk(this.paging, low, high, access, user, strict);
    if (walk.fault >= 0) {
      this.#arena.setUint32(this.#state + State.Cr2, low >>> 0, true);
      this.#arena.setInt32(this.#state + State.Cr2 + 4, this.long ? high : 0, true);
      raise(Vector.PageFault, walk.fault);
    }
    const pageOffset = this.#memory.offsetOf(walk.physical - (low & 0xfff), PAGE_BYTES);
    if (pageOffset >= 0 && this.watch === undefined && !this.alignmentChecked) {
      const { paging } = this;
      const t = this.#translation;
      t.linearLow = low;
      t.linearHigh = this.long ? high : 0;
      t.offset = pageOffset;
      t.pageShift = walk.pageShift;
      t.global = walk.global;
      const dataAllowed = user ? walk.user : !(strict && walk.user && paging.enabled);
      t.read = dataAllowed;
      t.write = dataAllowed && walk.writable && walk.dirty && this.#attributes(pageOffset) === 0;
      t.execute =
        walk.executable && (user ? walk.user : !(paging.smep && walk.user && paging.enabled));
      this.tlb.fill(kindOf(user, strict), t, access === Access.Execute);
    }
    return walk.physical;
  }

  /** Offset in the WebAssembly memory of code at a linear address; −1 if it is not in RAM. Throws #PF. */
  fetch(low: number, high: number): number {
    const known = this.tlb.probe(this.kind, low, this.long ? high : 0, 2);
    if (known >= 0) return known;
    const physical = this.physical(low, high, Access.Execute, this.user, this.strict);
    return this.#memory.offsetOf(physical, 1);
  }

  /** Copies `length` bytes at a linear address into `target`. `system` accesses have supervisor privilege. */
  readInto(address: bigint, target: Uint8Array, system = false): void {
    const known = this.#knownPart(address, target.length, system, 0);
    if (known >= 0) {
      target.set(this.#bytes.subarray(known, known + target.length));
      return;
    }
    this.#eachPart(address, target.length, Access.Read, system, (physical, at, bytes) => {
      const offset = this.#memory.offsetOf(physical, bytes);
      if (offset >= 0) target.set(this.#bytes.subarray(offset, offset + bytes), at);
      else for (let i = 0; i < bytes; i++) target[at + i] = this.#readDevice(physical + i, 1);
    });
  }

  /** Writes bytes at a linear address; nothing is written unless all pages may be. */
  writeFrom(address: bigint, source: Uint8Array, system = false): void {
    const known = this.#knownPart(address, source.length, system, 1);
    if (known >= 0) {
      this.#bytes.set(source, known);
      return;
    }
    this.checkWritable(address, source.length, system);
    this.#eachPart(address, source.length, Access.Write, system, (physical, at, bytes) => {
      const offset = this.#memory.offsetOf(physical, bytes);
      if (offset < 0) {
        for (let i = 0; i < bytes; i++)
          this.#writeDevice(physical + i, 1, source[at + i] as number);
      } else if (this.#memory.beforeWrite(offset, bytes)) {
        this.#bytes.set(source.subarray(at, at + bytes), offset);
      }
    });
  }

  /** Throws the fault that writing `length` bytes would raise. */
  checkWritable(address: bigint, length: number, system = false): void {
    if (this.#knownPart(address, length, system, 1) >= 0) return;
    this.#eachPart(address, length, Access.Write, system, () => undefined);
  }

  /** Offset in the memory of the RAM of bytes that may be written there without further ado, or −1: for helpers' short ways. */
  writableAt(address: bigint, length: number): number {
    return this.#knownPart(address, length, false, 1);
  }

  /** An unsigned little-endian integer of 1, 2, 4 or 8 bytes. */
  read(address: bigint, bytes: 1 | 2 | 4 | 8, system = false): bigint {
    whole[0] = address;
    const low = halves[0] as number;
    const high = halves[1] as number;
    if ((low & 0xfff) + bytes <= PAGE_BYTES) {
      const known = this.#known(low, high, system, 0);
      if (known >= 0) return this.#readInteger(known, bytes);
      this.checkAddress(low, high, bytes);
      const user = this.user && !system;
      const strict = this.#strict(user, system);
      this.#checkAlignment(low, bytes, user);
      const physical = this.physical(low, high, Access.Read, user, strict);
      if (!system) this.watch?.(low, high, bytes, false);
      const offset = this.#memory.offsetOf(physical, bytes);
      if (offset >= 0) return this.#readInteger(offset, bytes);
      const value = BigInt(this.#readDevice(physical, Math.min(bytes, 4) as AccessSize));
      return bytes === 8 ? value | (BigInt(this.#readDevice(physical + 4, 4)) << 32n) : value;
    }
    this.checkAddress(low, high, bytes);
    this.#checkAlignment(low, bytes, this.user && !system);
    const buffer = new Uint8Array(8);
    this.readInto(address, buffer.subarray(0, bytes), system);
    return new DataView(buffer.buffer).getBigUint64(0, true);
  }

  /** Writes the low `bytes` bytes of an integer. */
  write(address: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, system = false): void {
    whole[0] = address;
    const low = halves[0] as number;
    const high = halves[1] as number;
    if ((low & 0xfff) + bytes <= PAGE_BYTES) {
      const known = this.#known(low, high, system, 1);
      if (known >= 0) {
        this.#writeInteger(known, bytes, value);
        return;
      }
      this.checkAddress(low, high, bytes);
      const user = this.user && !system;
      const strict = this.#strict(user, system);
      this.#checkAlignment(low, bytes, user);
      const physical = this.physical(low, high, Access.Write, user, strict);
      if (!system) this.watch?.(low, high, bytes, true);
      const offset = this.#memory.offsetOf(physical, bytes);
      if (offset >= 0) {
        if (this.#attributes(offset) === 0 || this.#memory.beforeWrite(offset, bytes)) {
          this.#writeInteger(offset, bytes, value);
        }
      } else {
        this.#writeDevice(physical, Math.min(bytes, 4) as AccessSize, Number(value & 0xffffffffn));
        if (bytes === 8) this.#writeDevice(physical + 4, 4, Number((value >> 32n) & 0xffffffffn));
      }
      return;
    }
    this.checkAddress(low, high, bytes);
    this.#checkAlignment(low, bytes, this.user && !system);
    const buffer = new Uint8Array(8);
    new DataView(buffer.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.writeFrom(address, buffer.subarray(0, bytes), system);
  }

  /**
   * Where an access inside a page may be made without further ado (0 read, 1 write), else −1. Nothing is in the TLB
   * while accesses are watched or their alignment is checked.
   */
  #known(low: number, high: number, system: boolean, access: 0 | 1): number {
    const user = this.user && !system;
    const kind = kindOf(user, this.#strict(user, system));
    return this.tlb.probe(kind, low, this.long ? high : 0, access);
  }

  /** `#known` for bytes that lie in one page. */
  #knownPart(address: bigint, length: number, system: boolean, access: 0 | 1): number {
    whole[0] = address;
    const low = halves[0] as number;
    if ((low & 0xfff) + length > PAGE_BYTES) return -1;
    return this.#known(low, halves[1] as number, system, access);
  }

  /** SMAP forbids implicit accesses (to descriptor tables and the like) whatever AC is (Intel SDM vol. 3, 4.6.1). */
  #strict(user: boolean, system: boolean): boolean {
    return system ? this.paging.smap : !user && this.strict;
  }

  /**
   * Throws the faults that come before page faults: of an address that is not canonical, and #AC for a program's
   * access that is not aligned to a power of two, if that is checked.
   */
  checkOperand(address: bigint, length: number, alignment: number): void {
    const low = Number(address & 0xffffffffn) | 0;
    this.checkAddress(low, Number(address >> 32n) | 0, length);
    this.#checkAlignment(low, alignment, this.user);
  }

  #checkAlignment(low: number, bytes: number, user: boolean): void {
    if (this.alignmentChecked && user && (low & (bytes - 1)) !== 0) raise(Vector.AlignmentCheck, 0);
  }

  #eachPart(
    address: bigint,
    length: number,
    access: AccessValue,
    system: boolean,
    visit: (physical: number, at: number, bytes: number) => void,
  ): void {
    const user = this.user && !system;
    const strict = this.#strict(user, system);
    this.checkAddress(Number(address & 0xffffffffn) | 0, Number(address >> 32n) | 0, length);
    for (let at = 0; at < length;) {
      const here = BigInt.asUintN(this.long ? 64 : 32, address + BigInt(at));
      const low = Number(here & 0xffffffffn) | 0;
      const high = Number(here >> 32n) | 0;
      const bytes = Math.min(length - at, PAGE_BYTES - (low & 0xfff));
      this.checkAddress(low, high, 1);
      const physical = this.physical(low, high, access, user, strict);
      if (!system) this.watch?.(low, high, bytes, access === Access.Write);
      visit(physical, at, bytes);
      at += bytes;
    }
  }

  #attributes(offset: number): number {
    const page = Math.floor((offset - this.#memory.ramOffset) / PAGE_BYTES);
    return this.#memory.pageAttributes[page] as number;
  }

  #readInteger(offset: number, bytes: 1 | 2 | 4 | 8): bigint {
    const view = this.#view;
    if (bytes === 8) return view.getBigUint64(offset, true);
    if (bytes === 4) return BigInt(view.getUint32(offset, true));
    return BigInt(bytes === 2 ? view.getUint16(offset, true) : view.getUint8(offset));
  }

  #writeInteger(offset: number, bytes: 1 | 2 | 4 | 8, value: bigint): void {
    const view = this.#view;
    if (bytes === 8) view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    else if (bytes === 4) view.setUint32(offset, Number(value & 0xffffffffn), true);
    else if (bytes === 2) view.setUint16(offset, Number(value & 0xffffn), true);
    else view.setUint8(offset, Number(value & 0xffn));
  }

  #readPhysical(address: number, target: number, bytes: number): void {
    const offset = this.#memory.offsetOf(address, bytes);
    if (offset >= 0) {
      this.#bytes.copyWithin(target, offset, offset + bytes);
      return;
    }
    for (let at = 0; at < bytes;) {
      const size = accessSize(bytes - at);
      const value = this.#readDevice(address + at, size);
      if (size === 4) this.#view.setUint32(target + at, value, true);
      else if (size === 2) this.#view.setUint16(target + at, value, true);
      else this.#view.setUint8(target + at, value);
      at += size;
    }
  }

  #writePhysical(address: number, source: number, bytes: number): void {
    const offset = this.#memory.offsetOf(address, bytes);
    if (offset >= 0) {
      if (this.#memory.beforeWrite(offset, bytes)) {
        this.#bytes.copyWithin(offset, source, source + bytes);
      }
      return;
    }
    for (let at = 0; at < bytes;) {
      const size = accessSize(bytes - at);
      const value =
        size === 4
          ? this.#view.getUint32(source + at, true)
          : size === 2
            ? this.#view.getUint16(source + at, true)
            : this.#view.getUint8(source + at);
      this.#writeDevice(address + at, size, value);
      at += size;
    }
  }

  #readDevice(address: number, size: AccessSize): number {
    return this.#space.apicRead?.(address) ?? this.#space.mmio.read(address, size);
  }

  #writeDevice(address: number, size: AccessSize, value: number): void {
    if (this.#space.apicWrite?.(address, value) === true) return;
    this.#space.mmio.write(address, size, value);
  }
}

function kindOf(user: boolean, strict: boolean): TlbKindValue {
  if (user) return TlbKind.User;
  return strict ? TlbKind.SupervisorStrict : TlbKind.Supervisor;
}

/** The largest single access of at most `left` bytes. */
function accessSize(left: number): AccessSize {
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}
