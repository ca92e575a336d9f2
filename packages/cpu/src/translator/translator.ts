import { PAGE_BYTES } from "@queztl/memory";
import type { GuestMemory } from "@queztl/memory";
import type { CodeCache, CodeMode, Derived } from "../execute/code-cache.ts";
import type { Shape } from "../semantics/context.ts";
import { HEAD_LIVE, HEAD_QUIET, Head, Record } from "../state/record.ts";
import { State } from "../state/layout.ts";
import { REGION_SIGNATURE } from "../state/status.ts";
import { ModuleBuilder } from "../wasm/index.ts";
import { collectRegion } from "./collect-region.ts";
import type { Block, CodeSource, Region, Target } from "./collect-region.ts";
import { defineFind } from "./find-next.ts";
import { defineFlagFunctions } from "./region-flags.ts";
import { writeRegion } from "./write-region.ts";

/** Regions alive at once at most, and guest instructions in them: some 100 bytes of machine code each. */
export const MOST_REGIONS = 16384;
const MOST_LIVE_INSTRUCTIONS = 400_000;
/** How often a block is entered before it is translated: about where interpreting it has cost as much as that does. */
const THRESHOLD = 12_000;
/** The fewest instructions that are worth a transition, where nothing is repeated. */
const LEAST = 8;
/** How often a block with fewer is entered before it is translated all the same, and how often it is looked for such. */
const SHORT_THRESHOLD = 100_000;
const REVIEW_MS = 100;
/** Regions that are compiled together; fewer when the first has waited long enough. */
const BATCH = 64;
const LONGEST_WAIT_MS = 30;

/** One processor as translated code sees it. */
export interface TranslatorClient {
  /** Offset of its state. */
  readonly state: number;
  /** The functions that its interpreter enters, by region. */
  readonly table: WebAssembly.Table;
}

/** Words of 32 bits, one for each processor: 1 while it runs translated code. For samples from another thread. */
export interface RegionFlags {
  readonly buffer: SharedArrayBuffer;
  /** Their offsets in bytes. */
  readonly offsets: readonly number[];
}

/** Counters of a translator. */
export interface TranslatorStatistics {
  /** Regions made, those whose code changed since, those that are there or being made. */
  readonly regions: number;
  readonly dropped: number;
  /** Of the dropped ones, those that had to make room. */
  readonly evicted: number;
  readonly live: number;
  readonly modules: number;
  /** Bytes of WebAssembly, and guest instructions they stand for. */
  readonly bytes: number;
  readonly instructions: number;
  /** On the thread of the processors: choosing and writing, and installing. */
  readonly milliseconds: number;
  /** Entries of regions, instructions run in them, and why they were left. */
  readonly entered: number;
  readonly executed: number;
  readonly exitsToInstruction: number;
  readonly exitsToBlock: number;
  readonly exitsToAddress: number;
}

/** A region on its way from collection to being dropped. */
interface Live extends Derived {
  readonly region: Region;
  /** The blocks at which it may be entered; known once it is written. */
  entries: readonly number[];
  dropped: boolean;
  /** In the table of functions; −1 until it is installed. */
  index: number;
  /** The segments of the records that it was made from and leaves to, as bits. */
  segments: number;
}

/** A block that is hot. */
interface HotBlock {
  readonly mode: CodeMode;
  /** Offset of its first instruction, and its first record. */
  readonly entry: number;
  readonly record: number;
  readonly ripPage: bigint;
  readonly probe: (rip: bigint) => number;
}

/** Turns hot decoded code into WebAssembly functions that the interpreters enter: the code is shared by all processors. */
export class Translator {
  readonly #memory: GuestMemory;
  readonly #code: CodeCache;
  readonly #shapes: readonly (Shape | undefined)[];
  readonly #clients: TranslatorClient[] = [];
  #queue: Live[] = [];
  #queuedAt = 0;
  /** Places in the table of functions: the first that was never used, and those that are free again. */
  #next = 0;
  #free: number[] = [];
  /** The oldest first. */
  readonly #live = new Set<Live>();
  #liveInstructions = 0;
  readonly #stats = {
    regions: 0,
    dropped: 0,
    evicted: 0,
    modules: 0,
    bytes: 0,
    instructions: 0,
    milliseconds: 0,
  };
  readonly #eager: boolean;
  /** Those that are too short for a region. */
  readonly #short = new Set<HotBlock>();
  #reviewedAt = 0;

  /** @param eager translate each block when it is entered first, on this thread. */
  constructor(
    memory: GuestMemory,
    code: CodeCache,
    shapes: readonly (Shape | undefined)[],
    eager = false,
  ) {
    this.#eager = eager;
    this.#memory = memory;
    this.#code = code;
    this.#shapes = shapes;
    code.threshold = eager ? 0 : THRESHOLD;
    code.onDrop((segments) => {
      for (const live of this.#live) {
        if ((live.segments & segments) !== 0) this.#drop(live, code.thresholdAgain);
      }
    });
  }

  attach(client: TranslatorClient): void {
    this.#clients.push(client);
  }

  get flags(): RegionFlags {
    const { buffer } = this.#memory.arena.bytes;
    return { buffer, offsets: this.#clients.map(({ state }) => state + State.InRegion) };
  }

  get statistics(): TranslatorStatistics {
    const { view } = this.#memory.arena;
    const sum = (field: number): number =>
      this.#clients.reduce((all, { state }) => all + view.getUint32(state + field, true), 0);
    return {
      ...this.#stats,
      live: this.#live.size,
      entered: sum(State.RegionEntries),
      executed: this.#clients.reduce(
        (all, { state }) => all + Number(view.getBigUint64(state + State.RegionInstructions, true)),
        0,
      ),
      exitsToInstruction: sum(State.ExitsToInstruction),
      exitsToBlock: sum(State.ExitsToBlock),
      exitsToAddress: sum(State.ExitsToAddress),
    };
  }

  /**
   * A block was entered as often as makes it hot.
   * @param ripPage rip less the offset in the page; @param probe finds code in other pages.
   */
  hot(record: number, ripPage: bigint, probe: (rip: bigint) => number): void {
    const { view } = this.#memory.arena;
    const head = record - Record.Length;
    const entry =
      view.getUint32(head + Head.OffsetHigh, true) * 2 ** 32 +
      view.getUint32(head + Head.Offset, true);
    const mode = this.#code.modeOf(view.getUint32(head + Head.Mode, true));
    this.#collect({ mode, entry, record, ripPage, probe }, this.#eager ? 1 : LEAST);
  }

  #collect(block: HotBlock, least: number): void {
    const started = performance.now();
    const { mode, entry, record, ripPage, probe } = block;
    const { view } = this.#memory.arena;
    view.setInt32(record - Record.Length + Head.Count, HEAD_QUIET, true);
    if (mode.records.get(entry) !== record) return;
    const { threshold } = this.#code;
    const source: CodeSource = {
      view,
      shapes: this.#shapes,
      threshold,
      least,
      straddle: (of, offset) => this.#code.straddle(of, offset),
      probe,
    };
    const region = collectRegion(source, mode, entry, ripPage);
    if (region !== undefined) {
      const live: Live = {
        region,
        entries: [],
        dropped: false,
        index: -1,
        segments: this.#segmentsOf(region),
        drop: () => this.#drop(live),
      };
      this.#watch(live);
      // Nothing else needs to be made of the blocks that are in this region now.
      for (const covered of region.blocks) {
        const at = covered.record - Record.Length + Head.Count;
        if (view.getInt32(at, true) >= 0) view.setInt32(at, HEAD_QUIET, true);
      }
      if (this.#queue.length === 0) this.#queuedAt = started;
      this.#queue.push(live);
      this.#live.add(live);
      this.#liveInstructions += region.instructions;
      this.#evict();
    } else if (least > 1) this.#short.add(block);
    this.#stats.milliseconds += performance.now() - started;
    if (this.#eager) this.translate();
  }

  /** Has what waits compiled if it is much or has waited long. To be called now and then. */
  poll(): void {
    const now = performance.now();
    if (now - this.#reviewedAt >= REVIEW_MS) this.#review(now);
    const { length } = this.#queue;
    if (length === 0) return;
    if (length >= BATCH || now - this.#queuedAt >= LONGEST_WAIT_MS) this.translate();
  }

  /** Makes regions of short blocks that are entered so often that going to the interpreter for them costs more. */
  #review(now: number): void {
    this.#reviewedAt = now;
    const { view } = this.#memory.arena;
    for (const block of this.#short) {
      const { mode, entry, record } = block;
      const count = view.getInt32(record - Record.Length + Head.Count, true);
      const isThere = mode.records.get(entry) === record && count > HEAD_QUIET >> 1;
      if (isThere && count > HEAD_QUIET - SHORT_THRESHOLD) continue;
      this.#short.delete(block);
      if (isThere) this.#collect(block, 1);
    }
  }

  /** Has what waits compiled. */
  translate(): void {
    const started = performance.now();
    const batch = this.#queue.filter(({ dropped }) => !dropped);
    this.#queue = [];
    if (batch.length === 0) return;
    const bytes = this.#write(batch);
    this.#stats.modules++;
    this.#stats.bytes += bytes.length;
    if (this.#eager) this.#install(batch, new WebAssembly.Module(bytes));
    else void this.#compile(batch, bytes);
    this.#stats.milliseconds += performance.now() - started;
  }

  /** On the engine's own threads, while the guest runs on. */
  async #compile(batch: readonly Live[], bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    let module: WebAssembly.Module;
    try {
      module = await WebAssembly.compile(bytes);
    } catch {
      // The host is short of memory for code: what there is goes on being interpreted.
      for (const live of batch) this.#remove(live);
      return;
    }
    const started = performance.now();
    this.#install(batch, module);
    this.#stats.milliseconds += performance.now() - started;
  }

  #write(batch: readonly Live[]): Uint8Array<ArrayBuffer> {
    const builder = new ModuleBuilder(this.#memory.wide);
    const imported = builder.importGlobal("state", "i32");
    const flags = defineFlagFunctions(builder);
    const { view } = this.#memory.arena;
    builder.importTable("regions");
    const module = {
      view,
      state: imported,
      flags,
      find: defineFind(builder),
      type: builder.typeIndex(REGION_SIGNATURE),
    };
    batch.forEach((live, i) => {
      live.segments |= this.#targetSegments(live.region);
      builder.define(
        REGION_SIGNATURE,
        (f) => (live.entries = writeRegion(f, live.region, module)),
        `r${i}`,
      );
    });
    return builder.encode(65536);
  }

  #install(batch: readonly Live[], module: WebAssembly.Module): void {
    const wanted = batch.filter(({ dropped }) => !dropped);
    if (wanted.length === 0) return;
    const places = wanted.map(() => this.#free.pop() ?? this.#next++);
    for (const client of this.#clients) {
      const { arena, wasm: ram } = this.#memory;
      const env = { memory: arena.wasm, ram, state: client.state, regions: client.table };
      const { exports } = new WebAssembly.Instance(module, { env });
      wanted.forEach((live, i) => {
        client.table.set(places[i] as number, exports[`r${batch.indexOf(live)}`]);
      });
    }
    const { view } = this.#memory.arena;
    wanted.forEach((live, i) => {
      live.index = places[i] as number;
      live.region.blocks.forEach((block, entry) => {
        const { record } = block;
        if (live.region.mode.records.get(block.offset) !== record) return;
        const head = record - Record.Length;
        if (view.getInt32(head + Head.Count, true) === HEAD_LIVE) return;
        if (!live.entries.includes(entry)) {
          // In the middle of a loop: it gets a region of its own if it turns out to be entered often.
          view.setInt32(head + Head.Count, this.#code.threshold, true);
          return;
        }
        view.setUint32(head + Head.Region, live.index, true);
        view.setUint32(head + Head.Entry, entry, true);
        view.setInt32(head + Head.Count, HEAD_LIVE, true);
      });
      this.#stats.regions++;
      this.#stats.instructions += live.region.instructions;
    });
  }

  /** Sees to it that a region goes when its code does. */
  #watch(live: Live): void {
    const pages = new Map<number, { offset: number; length: number }[]>();
    for (const block of live.region.blocks) {
      const list = pages.get(block.page) ?? [];
      list.push({ offset: block.offset, length: lengthOf(block) });
      pages.set(block.page, list);
      const second = block.steps.at(-1)?.secondPage ?? -1;
      if (second >= 0)
        pages.set(second, [...(pages.get(second) ?? []), { offset: second, length: 15 }]);
    }
    for (const ranges of pages.values()) this.#code.watch(ranges, live);
  }

  /** Makes room by dropping what is oldest: what is still hot comes back. */
  #evict(): void {
    const most = MOST_REGIONS - BATCH;
    if (this.#liveInstructions <= MOST_LIVE_INSTRUCTIONS && this.#live.size <= most) return;
    let left = this.#live.size >> 1;
    for (const live of this.#live) {
      if (left-- <= 0) break;
      this.#drop(live);
      this.#stats.evicted++;
    }
  }

  /**
   * Takes a region's entries away: code that it was made from changed, or it is the oldest. No region is running.
   * @param threshold when its blocks are hot again, if not as others are.
   */
  #drop(live: Live, threshold?: number): void {
    if (live.dropped) return;
    this.#remove(live);
    this.#stats.dropped++;
    if (live.index >= 0) {
      this.#free.push(live.index);
      for (const { table } of this.#clients) table.set(live.index, null);
    }
    const { view } = this.#memory.arena;
    for (const { record, offset } of live.region.blocks) {
      if (live.region.mode.records.get(offset) !== record) continue;
      const head = record - Record.Length;
      const count = view.getInt32(head + Head.Count, true);
      const mine =
        live.index < 0
          ? count >= HEAD_QUIET >> 1
          : count === HEAD_LIVE && view.getUint32(head + Head.Region, true) === live.index;
      // What is there now may get hot in its turn.
      if (mine) view.setInt32(head + Head.Count, threshold ?? this.#code.thresholdAt(offset), true);
    }
  }

  #remove(live: Live): void {
    live.dropped = true;
    if (this.#live.delete(live)) this.#liveInstructions -= live.region.instructions;
  }

  /** Where the records lie that a region was collected from. */
  #segmentsOf({ blocks }: Region): number {
    let segments = 0;
    const add = (record: number): void => void (segments |= this.#code.segmentBit(record));
    for (const { record: first, steps, end } of blocks) {
      add(first);
      // Instructions in two pages have records of their own.
      for (const { record, leave } of steps) [record, leave].forEach(add);
      if (end.kind === "interpret") add(end.record);
    }
    return segments;
  }

  /** Where the records lie that a region leaves to. */
  #targetSegments({ blocks, mode }: Region): number {
    let segments = 0;
    const add = (target: Target | undefined): void => {
      const record = target && mode.records.get(target.offset);
      if (record !== undefined) segments |= this.#code.segmentBit(record);
    };
    for (const { steps, end } of blocks) {
      for (const { target } of steps) add(target);
      if (end.kind === "next") add(end.target);
    }
    return segments;
  }
}

/** Bytes from a block's first to its last instruction's end. */
function lengthOf(block: Block): number {
  const last = block.steps.at(-1);
  if (last === undefined) return 1;
  const end = block.page + last.inPage + last.length;
  return Math.min(end, block.page + PAGE_BYTES) - block.offset;
}
