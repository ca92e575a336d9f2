import { PAGE_BYTES, PageAttribute } from "@queztl/memory";
import type { GuestMemory } from "@queztl/memory";
import type { Decoder } from "../decode/decoder.ts";
import { INVALID, TOO_LONG, TRUNCATED } from "../decode/instruction.ts";
import { Handler } from "../interpreter/handlers.ts";
import { semanticsName } from "../interpreter/shapes.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { JUMP_BYTES, JUMP_ENTRY_BYTES, JUMP_SETS, JUMP_SET_BYTES } from "../state/layout.ts";
import { HEAD_QUIET, Head, JumpTargets, Record } from "../state/record.ts";
import { PseudoEntry } from "./lower.ts";
import type { Lowering, UnitState } from "./lower.ts";
import { RecordArena, SEGMENTS } from "./record-arena.ts";

/** An instruction that crosses into another page: that page's offset, and its first record. */
export interface Straddle {
  readonly second: number;
  readonly record: number;
}

/** What decides how bytes are decoded: code decoded under one mode is never run under another. */
export interface CodeMode {
  /** Which of the cache's modes it is. */
  readonly number: number;
  readonly mode: 16 | 32 | 64;
  /** CS has base 0 and no limit: the jump table may be used and branches inside a page linked. */
  readonly flat: boolean;
  /** 32-bit code in which CS is flat, ES, SS and DS are flat and writable, and the stack pointer has 32 bits. */
  readonly flatData: boolean;
  readonly units: UnitState;
  /** Offset of the mode's jump table in the WebAssembly memory. */
  readonly jumps: number;
  /** Records by the offset of the instruction's first byte. */
  readonly records: Map<number, number>;
  /** Instructions that cross into another page, by the first byte's offset. */
  readonly straddles: Map<number, Straddle>;
  /** Instructions near the end of their code segment, each by itself, by the first byte. */
  readonly singles: Map<number, number>;
}

/** Something made from the decoded code of a page, which goes when that code does. */
interface Watcher {
  /** The 128-byte pieces of the page that it was made from, as bits. */
  readonly pieces: number;
  readonly made: Derived;
}

/** What was made from decoded code. */
export interface Derived {
  /** It is gone already. */
  readonly dropped: boolean;
  /** Called when its code is. */
  drop(): void;
}

interface CodePage {
  pieces: number;
  /** At which bytes blocks were ever entered, as bits: most instructions begin none. */
  readonly starts: Uint32Array;
  /** Blocks with instructions in the page, by their first records. */
  blocks: number[];
  watchers: Watcher[];
}

/** After these nothing follows on; the block ends. */
const TERMINATORS = new Set(
  "jmp ret retf iret call jmp-far call-far int int3 syscall sysret sysretd sysenter sysexit hlt ud2".split(
    " ",
  ),
);
const ENDS_BLOCK = new Uint8Array(OPCODES.length);
OPCODES.forEach(({ id, mnemonic }) => (ENDS_BLOCK[id] = TERMINATORS.has(mnemonic) ? 1 : 0));

/** Indirect jumps and calls: they note their targets. */
const IS_INDIRECT = new Uint8Array(OPCODES.length);
for (const entry of OPCODES) {
  const jumps = /^(jmp|call)$/.test(semanticsName(entry));
  IS_INDIRECT[entry.id] = jumps && entry.operands[0]?.kind !== "relative" ? 1 : 0;
}

const MOST_INSTRUCTIONS = 64;
/** A head and the record behind it lie in one line of the host's cache. */
const BLOCK_ALIGNMENT = 2 * Record.Length;
/** Room for a whole block: what aligns it, its head, two records an instruction and two behind them. */
const BLOCK_BYTES = (2 * MOST_INSTRUCTIONS + 4) * Record.Length + JumpTargets.Length;
/** The least that the records may take: no segment is smaller than a block. */
export const LEAST_RECORD_BYTES = SEGMENTS * BLOCK_BYTES;
/** The pieces of a second page that an instruction may end in. */
const FIRST_PIECE = 1;
const PIECE_SHIFT = 7;
const MOST_MODES = 12;
/** A block is hot after eight times the threshold at the latest. */
const MOST_REWRITES = 3;
/** A block that was hot before is hot again after an eighth of the threshold. */
const SOONER = 3;

/**
 * Decoded instructions, by the guest-physical place of their bytes. Writes to a page that holds decoded code
 * are noticed through `PageAttribute.Code`; only the blocks on the written 128 bytes are dropped.
 */
export class CodeCache {
  readonly #memory: GuestMemory;
  readonly #view: DataView;
  readonly #lowering: Lowering;
  readonly #decoder: Decoder;
  readonly #arena: RecordArena;
  /** Pages in which blocks of a segment have bytes. */
  readonly #pagesOf: readonly Set<number>[] = Array.from({ length: SEGMENTS }, () => new Set());
  #generation = 0;
  /** How often a block is entered before it counts as hot; `HEAD_QUIET` if nobody asks. */
  threshold: number = HEAD_QUIET;
  readonly #dropListeners: ((segments: number) => void)[] = [];
  readonly #pages = new Map<number, CodePage>();
  /** How often a write dropped something that was made of a page's code, for pages where one did. */
  readonly #rewritten = new Map<number, number>();
  /** Where blocks were hot, or nearly, whose records had to make room. */
  readonly #wasHot = new Set<number>();
  readonly #modes = new Map<number, CodeMode>();
  readonly #modeList: CodeMode[] = [];
  readonly #emptyJumps: number;
  readonly #protectListeners: ((pageOffset: number) => void)[] = [];

  /** @param bytes how much of the arena the records may take. */
  constructor(memory: GuestMemory, lowering: Lowering, decoder: Decoder, bytes: number) {
    this.#memory = memory;
    this.#view = memory.arena.view;
    this.#lowering = lowering;
    this.#decoder = decoder;
    this.#arena = new RecordArena(this.#view, memory.allocate(bytes), bytes);
    this.#emptyJumps = memory.allocate(JUMP_BYTES);
    memory.onCodeWrite((offset, length) => this.invalidate(offset, length));
  }

  /** Grows with each time that a segment's records were dropped: what was found before may be void. */
  get generation(): number {
    return this.#generation;
  }

  /** The mode object for these properties; the same one each time. */
  mode(mode: 16 | 32 | 64, flat: boolean, flatData: boolean, units: UnitState): CodeMode {
    // Blocked units name one of four pseudo entries by their low two bits, which are never all alike.
    const unit = (blocked: number): number => (blocked === 0 ? 0 : 1 + (blocked & 3));
    const key =
      ((unit(units.x87) * 5 + unit(units.mmx)) * 5 + unit(units.sse)) * 512 +
      mode * 4 +
      (flatData ? 2 : 0) +
      (flat ? 1 : 0);
    const known = this.#modes.get(key);
    if (known !== undefined) return known;
    // A guest could go through many combinations; those beyond the first few do without a jump table.
    const table = flat && this.#modes.size < MOST_MODES;
    const made: CodeMode = {
      number: this.#modes.size,
      mode,
      flat,
      flatData,
      units,
      jumps: table ? this.#memory.allocate(JUMP_BYTES) : this.#emptyJumps,
      records: new Map(),
      straddles: new Map(),
      singles: new Map(),
    };
    this.#modes.set(key, made);
    this.#modeList.push(made);
    return made;
  }

  /** The record of the instruction at an offset of the WebAssembly memory, decoded now if need be. */
  find(mode: CodeMode, offset: number): number {
    const record = mode.records.get(offset) ?? this.#decode(mode, offset);
    if (mode.jumps !== this.#emptyJumps) {
      this.#enterJump(mode.jumps, offset, record);
    }
    return record;
  }

  /** Enters a record in a jump table as the first of its set; what was the first is the second now. */
  #enterJump(jumps: number, offset: number, record: number): void {
    const view = this.#view;
    const set = (offset >>> 3) ^ (offset >>> 16);
    const first = jumps + (set & (JUMP_SETS - 1)) * JUMP_SET_BYTES;
    const tag = (this.#memory.wide ? jumpTagOf(offset) : offset) >>> 0;
    const before = view.getUint32(first, true);
    if (before !== tag) {
      view.setUint32(first + JUMP_ENTRY_BYTES, before, true);
      view.setUint32(first + JUMP_ENTRY_BYTES + 4, view.getUint32(first + 4, true), true);
    }
    view.setUint32(first, tag, true);
    view.setUint32(first + 4, record, true);
  }

  /** What `straddling` made last for an instruction that begins at an offset, unless its bytes changed since. */
  straddle(mode: CodeMode, offset: number): Straddle | undefined {
    const known = mode.straddles.get(offset);
    if (known === undefined) return undefined;
    return this.#view.getUint16(known.record, true) === Handler.Stale ? undefined : known;
  }

  /**
   * The record of an instruction whose bytes begin at `offset` and end in the page at `second`.
   * @param bytes the instruction's bytes, joined.
   */
  straddling(mode: CodeMode, offset: number, second: number, bytes: Uint8Array): number {
    this.#reserve();
    const start = this.#head(HEAD_QUIET, offset, mode);
    const inPage = offset & (PAGE_BYTES - 1);
    const instruction = this.#decoder.instruction;
    const entry = this.#decoder.decode(bytes, 0, bytes.length, mode.mode);
    let at = start;
    if (entry === INVALID || entry === TRUNCATED) {
      at = this.#lowering.pseudo(PseudoEntry.InvalidOpcode, at, inPage, 1);
    } else if (entry === TOO_LONG) {
      at = this.#lowering.pseudo(PseudoEntry.TooLong, at, inPage, 15);
    } else {
      at = this.#lowering.lower(instruction, at, inPage, false, mode.units);
      at = this.#lowering.continue(at, inPage + instruction.length);
    }
    // A page may follow itself.
    const last = second === offset - inPage ? FIRST_PIECE : 0;
    this.#close(start, at, piecesOf(inPage, PAGE_BYTES - inPage) | last);
    mode.straddles.set(offset, { second, record: start });
    this.#enter(offset - inPage, start);
    this.#enter(second, start);
    return start;
  }

  /**
   * The record of one instruction, after which the next is looked up: for code so near the end of its segment that
   * each instruction's length must be compared with what is left.
   * @returns 0 if the instruction does not end within `room` bytes.
   */
  single(mode: CodeMode, offset: number, room: number): number {
    const known = mode.singles.get(offset);
    if (known !== undefined && this.#view.getUint16(known, true) !== Handler.Stale) {
      return this.#view.getUint8(known + Record.InstructionLength) <= room ? known : 0;
    }
    this.#reserve();
    const start = this.#head(HEAD_QUIET, offset, mode);
    const page = this.pageOf(offset);
    const end = Math.min(page + PAGE_BYTES, offset + room);
    const entry = this.#decoder.decode(this.#memory.bytes, offset, end, mode.mode);
    if (entry === TRUNCATED) return 0;
    const { instruction } = this.#decoder;
    let at = start;
    if (entry === INVALID || entry === TOO_LONG) {
      const pseudo = entry === INVALID ? PseudoEntry.InvalidOpcode : PseudoEntry.TooLong;
      at = this.#lowering.pseudo(pseudo, at, offset - page, instruction.length);
    } else at = this.#lowering.lower(instruction, at, offset - page, false, mode.units);
    at = this.#lowering.continue(at, offset - page + instruction.length);
    this.#close(start, at, piecesOf(offset - page, instruction.length));
    this.#enter(page, start);
    mode.singles.set(offset, start);
    return start;
  }

  /**
   * How often a block at an offset is entered before it counts as hot: twice as often for each time that something made of its
   * page was lost to a write, for a JIT compiler's code may be gone before its translation has paid.
   */
  thresholdAt(offset: number): number {
    const threshold = this.#wasHot.has(offset) ? this.thresholdAgain : this.threshold;
    if (threshold <= 0) return threshold;
    return threshold << (this.#rewritten.get(this.pageOf(offset)) ?? 0);
  }

  /** How often a block is entered that was hot before its records, or others of its region, had to make room. */
  get thresholdAgain(): number {
    return this.threshold >> SOONER;
  }

  /** Drops what was decoded from bytes that are about to be written. */
  invalidate(offset: number, length: number): void {
    const page = this.pageOf(offset);
    const code = this.#pages.get(page);
    if (code === undefined) return;
    const written = piecesOf(offset - page, length);
    if ((code.pieces & written) === 0) return;
    const kept: number[] = [];
    let pieces = 0;
    const { watchers } = code;
    code.watchers = watchers.filter((watcher) => (watcher.pieces & written) === 0);
    let made = false;
    for (const watcher of watchers) {
      if ((watcher.pieces & written) === 0) continue;
      made ||= !watcher.made.dropped;
      watcher.made.drop();
    }
    if (made)
      this.#rewritten.set(page, Math.min((this.#rewritten.get(page) ?? 0) + 1, MOST_REWRITES));
    for (const watcher of code.watchers) pieces |= watcher.pieces;
    for (const block of code.blocks) {
      const touched = this.#piecesIn(page, block);
      if ((touched & written) === 0) {
        kept.push(block);
        pieces |= touched;
        continue;
      }
      this.#forget(block);
      this.#view.setInt32(block - Record.Length + Head.Count, HEAD_QUIET, true);
      const end = this.#view.getUint32(block - Record.Length + Head.End, true);
      for (let at = block; at < end; at += Record.Length) {
        this.#view.setUint16(at + Record.Handler, Handler.Stale, true);
        // What stood there may have been a pseudo entry that means more than stale.
        this.#view.setUint16(at + Record.Entry, PseudoEntry.InvalidOpcode, true);
      }
    }
    code.blocks = kept;
    code.pieces = pieces;
    if (pieces === 0) this.#freePage(page);
  }

  /** Has a record lead to another, which was found since `generation` was what it is. */
  link(from: number, to: number): void {
    this.#arena.link(from, to);
  }

  /** Has a record whose code changed lead to the one of its code now, for whatever is still linked to it. */
  forward(stale: number, record: number): void {
    this.#arena.link(stale, record);
    this.#view.setUint16(stale + Record.Handler, Handler.Continue, true);
  }

  /** `listener` is called with the segments, as bits, whose records are about to be dropped. */
  onDrop(listener: (segments: number) => void): void {
    this.#dropListeners.push(listener);
  }

  /** The segment that a record is in, as a bit. */
  segmentBit(record: number): number {
    return 1 << this.#arena.segmentOf(record);
  }

  /**
   * Has something dropped once code is that lies in one of these ranges of the WebAssembly memory, all of them in
   * one page with decoded code.
   */
  watch(ranges: readonly { offset: number; length: number }[], made: Derived): void {
    const first = ranges[0];
    if (first === undefined) return;
    const page = this.pageOf(first.offset);
    let pieces = 0;
    for (const { offset, length } of ranges) pieces |= piecesOf(offset - page, length);
    const code = this.#pages.get(page);
    if (code === undefined) throw new Error("a page without code cannot be watched");
    code.watchers = code.watchers.filter((watcher) => !watcher.made.dropped);
    code.watchers.push({ pieces, made });
    code.pieces |= pieces;
  }

  /** The decode mode of a number. */
  modeOf(number: number): CodeMode {
    const mode = this.#modeList[number];
    if (mode === undefined) throw new RangeError(`there is no decode mode ${number}`);
    return mode;
  }

  /** Drops the records of a segment, whatever leads to them, and what was made of them. */
  #drop(segment: number): void {
    const pages = this.#pagesOf[segment] as Set<number>;
    if (pages.size === 0) return;
    this.#generation++;
    for (const listener of this.#dropListeners) listener(1 << segment);
    const [start, end] = [this.#arena.startOf(segment), this.#arena.endOf(segment)];
    const again = this.thresholdAgain;
    for (const page of pages) {
      const code = this.#pages.get(page);
      if (code === undefined) continue;
      code.watchers = code.watchers.filter((watcher) => !watcher.made.dropped);
      const kept: number[] = [];
      let pieces = 0;
      for (const { pieces: watched } of code.watchers) pieces |= watched;
      for (const block of code.blocks) {
        if (block >= start && block < end) {
          this.#forget(block);
          const count = this.#view.getInt32(block - Record.Length + Head.Count, true);
          if (count <= again) this.#wasHot.add(this.#offsetOf(block));
          continue;
        }
        kept.push(block);
        pieces |= this.#piecesIn(page, block);
      }
      code.blocks = kept;
      code.pieces = pieces;
      if (pieces === 0) this.#freePage(page);
    }
    pages.clear();
    for (const { jumps } of this.#modes.values()) this.#dropJumps(jumps, start, end);
    // Once a round, so that what programs of long ago did does not count for ever.
    if (segment !== 0) return;
    this.#rewritten.clear();
    this.#wasHot.clear();
  }

  /** Takes out of a jump table what leads to records from `start` to `end`. */
  #dropJumps(jumps: number, start: number, end: number): void {
    if (jumps === this.#emptyJumps) return;
    const words = new Int32Array(this.#view.buffer, jumps, JUMP_BYTES / 4);
    for (let at = 1; at < words.length; at += 2) {
      const record = words[at] as number;
      if (record >= start && record < end) words[at - 1] = words[at] = 0;
    }
  }

  /** A block is found no more. */
  #forget(block: number): void {
    const mode = this.modeOf(this.#view.getUint32(block - Record.Length + Head.Mode, true));
    const offset = this.#offsetOf(block);
    if (mode.records.get(offset) === block) mode.records.delete(offset);
    else if (mode.straddles.get(offset)?.record === block) mode.straddles.delete(offset);
    else if (mode.singles.get(offset) === block) mode.singles.delete(offset);
  }

  #decode(mode: CodeMode, offset: number): number {
    this.#reserve();
    const lowering = this.#lowering;
    const decoder = this.#decoder;
    const page = this.pageOf(offset);
    const limit = page + PAGE_BYTES;
    const isKnown = mode.mode === 64 || mode.flatData;
    const translatable = isKnown && mode.jumps !== this.#emptyJumps;
    const start = this.#head(translatable ? this.thresholdAt(offset) : HEAD_QUIET, offset, mode);
    const instruction = decoder.instruction;
    let at = start;
    let from = offset;
    const starts = this.#pages.get(page)?.starts;
    const isStart = (inPage: number): boolean =>
      starts !== undefined && (((starts[inPage >> 5] as number) >>> (inPage & 31)) & 1) !== 0;
    for (let count = 0; ; count++) {
      if (from === limit || count === MOST_INSTRUCTIONS) {
        at = lowering.continue(at, from - page);
        break;
      }
      // Where each branch is compared with the segment's limit, so is going on.
      const known =
        count > 0 && mode.flat && isStart(from - page) ? mode.records.get(from) : undefined;
      if (known !== undefined) {
        at = lowering.continue(at, from - page);
        this.#arena.link(at - Record.Length, known);
        break;
      }
      const entry = decoder.decode(this.#memory.bytes, from, limit, mode.mode);
      if (entry === TRUNCATED) {
        // Executed through the host, which joins the bytes of both pages.
        at = lowering.pseudo(PseudoEntry.Straddle, at, from - page, 0);
        this.#view.setUint16(at - Record.Length + Record.Handler, Handler.Stale, true);
        from = limit;
        break;
      }
      if (entry === INVALID || entry === TOO_LONG) {
        const pseudo = entry === INVALID ? PseudoEntry.InvalidOpcode : PseudoEntry.TooLong;
        at = lowering.pseudo(pseudo, at, from - page, instruction.length);
        from = Math.min(limit, from + Math.max(1, instruction.length));
        break;
      }
      at = lowering.lower(instruction, at, from - page, mode.flat, mode.units);
      from += instruction.length;
      if (ENDS_BLOCK[entry] !== 0) break;
    }
    // A block that ends in a jump still needs something behind it: helpers may go on with the next record.
    at = lowering.continue(at, from - page);
    this.#close(start, at, piecesOf(offset - page, from - offset));
    this.#enter(page, start);
    mode.records.set(offset, start);
    const own = (this.#pages.get(page) as CodePage).starts;
    const inPage = offset - page;
    own[inPage >> 5] = (own[inPage >> 5] as number) | (1 << (inPage & 31));
    return start;
  }

  /** A block's last record is before `end`. @param pieces of its page that it lies in. */
  #close(block: number, end: number, pieces: number): void {
    const head = block - Record.Length;
    this.#view.setUint32(head + Head.End, end, true);
    this.#view.setUint32(head + Head.Pieces, pieces, true);
    this.#arena.next = this.#withTargets(end);
  }

  /** Makes room for an indirect jump's targets behind a block's last record, which is at `at`. */
  #withTargets(at: number): number {
    const view = this.#view;
    const jump = at - 2 * Record.Length;
    if (IS_INDIRECT[view.getUint16(jump + Record.Entry, true)] !== 1) return at;
    const end = jump + JumpTargets.From + JumpTargets.Length;
    this.#memory.arena.bytes.fill(0, at, end);
    return end;
  }

  /** Notes that a block has instructions in a page. */
  #enter(page: number, block: number): void {
    (this.#pagesOf[this.#arena.segment] as Set<number>).add(page);
    const pieces = this.#piecesIn(page, block);
    const code = this.#pages.get(page);
    if (code === undefined) {
      const starts = new Uint32Array(PAGE_BYTES / 32);
      this.#pages.set(page, { pieces, starts, blocks: [block], watchers: [] });
      this.#setCodeAttribute(page, true);
    } else {
      code.blocks.push(block);
      code.pieces |= pieces;
    }
  }

  #freePage(page: number): void {
    this.#pages.delete(page);
    this.#setCodeAttribute(page, false);
  }

  /** The offset of a block's first byte in the WebAssembly memory. */
  #offsetOf(block: number): number {
    const head = block - Record.Length;
    const high = this.#view.getUint32(head + Head.OffsetHigh, true);
    return high * 2 ** 32 + this.#view.getUint32(head + Head.Offset, true);
  }

  /** The 128-byte pieces of a page that a block's instructions lie in, as bits. */
  #piecesIn(page: number, block: number): number {
    if (this.pageOf(this.#offsetOf(block)) !== page) return FIRST_PIECE;
    return this.#view.getUint32(block - Record.Length + Head.Pieces, true);
  }

  /** Writes the head of a block; the offset of its first record. */
  #head(count: number, offset: number, mode: CodeMode): number {
    const at = Math.ceil(this.#arena.next / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT;
    const view = this.#view;
    view.setInt32(at + Head.Count, count, true);
    view.setUint32(at + Head.Region, 0, true);
    view.setUint32(at + Head.Entry, 0, true);
    view.setUint32(at + Head.Offset, offset, true);
    view.setUint32(at + Head.OffsetHigh, Math.floor(offset / 2 ** 32), true);
    view.setUint32(at + Head.Mode, mode.number, true);
    return at + Record.Length;
  }

  /** Makes room for one more block. */
  #reserve(): void {
    const arena = this.#arena;
    if (arena.hasRoom(BLOCK_BYTES)) return;
    this.#drop(arena.oldest);
    arena.advance();
  }

  /** The offset of the page that holds an offset of the WebAssembly memory. */
  pageOf(offset: number): number {
    return offset - ((offset - this.#memory.ramOffset) % PAGE_BYTES);
  }

  #setCodeAttribute(page: number, holdsCode: boolean): void {
    const index = (page - this.#memory.ramOffset) / PAGE_BYTES;
    const attributes = this.#memory.pageAttributes;
    const old = attributes[index] as number;
    attributes[index] = holdsCode ? old | PageAttribute.Code : old & ~PageAttribute.Code;
    if (holdsCode && old === 0) for (const listener of this.#protectListeners) listener(page);
  }

  /** `listener` is called with the offset of a page that now holds code: permissions to write it directly must go. */
  onProtect(listener: (pageOffset: number) => void): void {
    this.#protectListeners.push(listener);
  }
}

/** A jump table's tag where offsets have more than 32 bits: bits 16 and above, then 0–2. The number of the set says the rest. */
const jumpTagOf = (offset: number): number => Math.floor(offset / 65536) * 8 + (offset % 8);

/** The 128-byte pieces that `length` bytes from an offset in a page touch, as bits. */
function piecesOf(inPage: number, length: number): number {
  const first = inPage >> PIECE_SHIFT;
  const last = Math.min(31, (inPage + Math.max(1, length) - 1) >> PIECE_SHIFT);
  return (0xffffffff >>> (31 - (last - first))) << first;
}
