import { PAGE_BYTES } from "@queztl/memory";
import type { CodeMode, Straddle } from "../execute/code-cache.ts";
import { PseudoEntry } from "../execute/lower.ts";
import { Handler } from "../interpreter/handlers.ts";
import { notesTargets } from "../interpreter/shapes.ts";
import type { Shape } from "../semantics/context.ts";
import { HEAD_LIVE, HEAD_QUIET, Head, JumpTargets, Record } from "../state/record.ts";

/** The most instructions and blocks of one region. */
const MOST_INSTRUCTIONS = 160;
const MOST_BLOCKS = 48;
/** The blocks that an indirect jump is compared with. */
const MOST_GUESSES = 12;
/** How often a block must have been entered to be taken into a region. */
const WARM = 50;

/**
 * The longest block that is written into each region that leads to it. Others are left to the region that has them: code
 * is compiled once, for some ten nanoseconds a transition.
 */
const MOST_AGAIN = 6;

/** Where a branch leads, as far as that was known when the region was collected. */
export interface Target {
  /** Offset of the instruction in the WebAssembly memory. */
  readonly offset: number;
  /** In another page than the branch: the region must see to it that the page is still there. */
  readonly crosses: boolean;
}

/** One instruction of a block: its records' offsets, and what they say. */
export interface Step {
  /** The address record, or 0. */
  readonly addressRecord: number;
  readonly addressHandler: number;
  readonly record: number;
  /** Where the interpreter goes on if the region leaves before the instruction. */
  readonly leave: number;
  readonly shape: Shape;
  readonly inPage: number;
  readonly length: number;
  /** Offset of the page in which the instruction ends, if that is another than the one in which it begins; else −1. */
  readonly secondPage: number;
  /** Of a relative branch. */
  readonly target: Target | undefined;
  /** Of an indirect jump or call: offsets of the blocks that it is compared with, the likeliest first. */
  readonly guesses: readonly number[];
}

/** Straight-line code of a region; conditional branches may leave it in the middle. */
export interface Block {
  /** Offset of its first instruction in the WebAssembly memory, and of that one's page. */
  readonly offset: number;
  readonly page: number;
  /** Its first record, behind its head. */
  readonly record: number;
  readonly steps: Step[];
  end: BlockEnd;
}

/** How a block ends: it goes on at the next instruction, leaves one to the interpreter, or has jumped away. */
export type BlockEnd =
  | { readonly kind: "next"; readonly inPage: number; readonly target: Target | undefined }
  | { readonly kind: "interpret"; readonly record: number; readonly inPage: number }
  | { readonly kind: "jump" };

/** The code that a region covers. */
export interface Region {
  readonly mode: CodeMode;
  /** Offset of the block that was hot. */
  readonly entry: number;
  /** The block that was hot may be there twice: nothing in the region leads to the second one. */
  readonly blocks: readonly Block[];
  readonly instructions: number;
}

/** What regions are collected from. */
export interface CodeSource {
  readonly view: DataView;
  /** Shapes by handler number. */
  readonly shapes: readonly (Shape | undefined)[];
  /** How often a block is entered before it is hot. */
  readonly threshold: number;
  /** The fewest instructions of a region without a loop. */
  readonly least: number;
  /** An instruction that crosses into another page, if it has run. */
  straddle(mode: CodeMode, offset: number): Straddle | undefined;
  /** Offset in the WebAssembly memory of code at an address, or −1 if that is not known without further ado. */
  probe(rip: bigint): number;
}

const TRANSFERS = new Set(["jmp", "call", "ret"]);

/**
 * Collects the blocks that were entered before and can be reached from a hot one by branches with a fixed target.
 * @param ripPage rip less the offset in the page, of the entry.
 * @returns undefined if nothing worth translating is there.
 */
export function collectRegion(
  source: CodeSource,
  mode: CodeMode,
  entry: number,
  ripPage: bigint,
): Region | undefined {
  const start = { offset: entry, ripPage, called: false };
  // First with what other regions have, to see which of that is in a loop with the entry: it is entered each time round.
  const all = gather(source, mode, start, () => true);
  const loop = all.borrowed ? inLoopWith(entry, all.edges) : undefined;
  const { blocks } = loop === undefined ? all : gather(source, mode, start, (at) => loop.has(at));
  let instructions = 0;
  for (const { steps } of blocks.values()) instructions += steps.length;
  if (instructions === 0 || !blocks.has(entry)) return undefined;
  if (instructions < source.least && !hasLoop(blocks)) return undefined;
  const ordered = inOrder([...blocks.values()]);
  const copy = entryCopy(ordered, entry);
  return { mode, entry, blocks: copy === undefined ? ordered : [...ordered, copy], instructions };
}

/**
 * A copy of a hot block that others run into and no loop begins with, for the region to be entered at: the block itself is then
 * reached with what is known of its predecessors.
 */
function entryCopy(blocks: readonly Block[], entry: number): Block | undefined {
  const leadsHere = (target: Target | undefined): boolean => target?.offset === entry;
  const runsOn = blocks.some(({ end }) => end.kind === "next" && leadsHere(end.target));
  const isJumpedTo = blocks.some(({ steps }) => steps.some(({ target }) => leadsHere(target)));
  if (!runsOn || isJumpedTo) return undefined;
  return blocks.find(({ offset }) => offset === entry);
}

interface Gathered {
  readonly blocks: ReadonlyMap<number, Block>;
  /** Where the blocks lead, but for functions that they call. */
  readonly edges: ReadonlyMap<number, readonly number[]>;
  /** Something that another region has was taken. */
  readonly borrowed: boolean;
}

/** @param borrows whether to take a block that another region has, unless it is in a function that is called. */
function gather(
  source: CodeSource,
  mode: CodeMode,
  start: Successor,
  borrows: (offset: number) => boolean,
): Gathered {
  const blocks = new Map<number, Block>();
  const edges = new Map<number, readonly number[]>();
  let borrowed = false;
  const queue = [start];
  let instructions = 0;
  for (let at = 0; at < queue.length; at++) {
    if (blocks.size >= MOST_BLOCKS || instructions >= MOST_INSTRUCTIONS) break;
    const { offset, ripPage, called } = queue[at] as Successor;
    if (blocks.has(offset)) continue;
    const record = mode.records.get(offset);
    if (record === undefined) continue;
    const elsewhere = at > 0 && isElsewhere(source, record);
    if (at > 0 && !elsewhere && !isWarm(source, record)) continue;
    const read = readBlock(source, mode, record, offset, ripPage);
    const { block } = read;
    const { length } = block.steps;
    if (length === 0) continue;
    if (elsewhere && length > MOST_AGAIN) {
      if (called || !borrows(offset)) continue;
      borrowed = true;
    }
    // A block that another runs into ends there; what it would run on into is there already.
    cutAtLeaders(block, blocks);
    for (const other of blocks.values()) instructions -= cutAt(other, block.offset);
    blocks.set(offset, block);
    edges.set(
      offset,
      read.successors.filter((to) => !to.called).map((to) => to.offset),
    );
    instructions += block.steps.length;
    for (const to of read.successors) queue.push({ ...to, called: called || to.called });
  }
  return { blocks, edges, borrowed };
}

/** The blocks from which the entry is reached again. */
function inLoopWith(
  entry: number,
  edges: ReadonlyMap<number, readonly number[]>,
): ReadonlySet<number> {
  const found = new Set([entry]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const [from, list] of edges) if (list.some((to) => found.has(to))) found.add(from);
  }
  return found;
}

/** Whether some block leads to one that is no later in memory. */
function hasLoop(blocks: ReadonlyMap<number, Block>): boolean {
  const leadsBack = (from: number, target: Target | undefined): boolean =>
    target !== undefined && target.offset <= from && blocks.has(target.offset);
  for (const { offset, steps } of blocks.values()) {
    if (steps.some(({ target }) => leadsBack(offset, target))) return true;
  }
  return false;
}

/** Pages in the order of their discovery, code inside a page by address: loops then lead back, most else ahead. */
function inOrder(blocks: Block[]): Block[] {
  const pages = new Map<number, number>();
  for (const { page } of blocks) if (!pages.has(page)) pages.set(page, pages.size);
  const rank = ({ page }: Block): number => pages.get(page) as number;
  return blocks.toSorted((a, b) => rank(a) - rank(b) || a.offset - b.offset);
}

function countOf({ view }: CodeSource, record: number): number {
  return view.getInt32(record - Record.Length + Head.Count, true);
}

/** Whether a region has a block, or is being made of it, or it was too short for one. */
function isElsewhere(source: CodeSource, record: number): boolean {
  const count = countOf(source, record);
  // What is quiet goes on being counted down.
  return count === HEAD_LIVE || count > HEAD_QUIET >> 1;
}

function isWarm(source: CodeSource, record: number): boolean {
  const { threshold } = source;
  const count = countOf(source, record);
  return count >= 0 && count <= threshold - Math.min(WARM, threshold >> 1);
}

function cutAtLeaders(block: Block, blocks: ReadonlyMap<number, Block>): void {
  for (let i = 1; i < block.steps.length; i++) {
    const offset = block.page + (block.steps[i] as Step).inPage;
    if (blocks.has(offset)) {
      cut(block, i);
      return;
    }
  }
}

/** Ends a block before an instruction that begins another; how many instructions it lost. */
function cutAt(block: Block, offset: number): number {
  const before = block.steps.length;
  const i = block.steps.findIndex(({ inPage }) => block.page + inPage === offset);
  if (i > 0) cut(block, i);
  return before - block.steps.length;
}

function cut(block: Block, at: number): void {
  const { inPage } = block.steps[at] as Step;
  const target = { offset: block.page + inPage, crosses: false };
  block.end = { kind: "next", inPage, target };
  block.steps.length = at;
}

interface Successor {
  readonly offset: number;
  readonly ripPage: bigint;
  /** By a call. */
  readonly called: boolean;
}

/** Where an indirect jump or call led, the likeliest first; its record must be in the present address space. */
function targetsOf(
  source: CodeSource,
  mode: CodeMode,
  record: number,
  page: number,
  ripPage: bigint,
): Successor[] {
  const { view } = source;
  const jumps = view.getUint32(record + Record.Link, true);
  const noted = new Map<number, number>();
  for (let i = 0; i < Math.min(jumps, JumpTargets.Count); i++) {
    const low = view.getUint32(record + JumpTargets.From + 4 * i, true);
    noted.set(low, (noted.get(low) ?? 0) + 1);
  }
  const high = ripPage & ~0xffffffffn;
  const mask = BigInt(PAGE_BYTES - 1);
  const found: Successor[] = [];
  for (const [low] of [...noted].toSorted((a, b) => b[1] - a[1]).slice(0, MOST_GUESSES)) {
    const rip = high | BigInt(low);
    const inPage = rip - ripPage;
    const near = inPage >= 0n && inPage <= mask;
    const offset = near ? page + Number(inPage) : source.probe(rip);
    if (mode.records.has(offset)) found.push({ offset, ripPage: rip & ~mask, called: false });
  }
  return found;
}

function readBlock(
  source: CodeSource,
  mode: CodeMode,
  first: number,
  offset: number,
  ripPage: bigint,
): { block: Block; successors: Successor[] } {
  const { view, shapes } = source;
  const page = offset - view.getUint16(first + Record.Offset, true);
  const steps: Step[] = [];
  const successors: Successor[] = [];
  const mask = BigInt(PAGE_BYTES - 1);
  /** The instruction at a distance from the page's start, if it is known where that is. */
  const locate = (distance: number, called = false): Target | undefined => {
    if (distance >= 0 && distance < PAGE_BYTES) {
      successors.push({ offset: page + distance, ripPage, called });
      return { offset: page + distance, crosses: false };
    }
    const rip = BigInt.asUintN(mode.mode, ripPage + BigInt(distance));
    const target = source.probe(rip);
    if (target < 0) return undefined;
    successors.push({ offset: target, ripPage: rip & ~mask, called });
    return { offset: target, crosses: true };
  };
  const finish = (end: BlockEnd): { block: Block; successors: Successor[] } => ({
    block: { offset, page, record: first, steps, end },
    successors,
  });
  let addressRecord = 0;
  let addressHandler = 0;
  let straddle = 0;
  let secondPage = -1;
  for (let record = first; ; record += Record.Length) {
    let handler = view.getUint16(record + Record.Handler, true);
    const inPage = view.getUint16(record + Record.Offset, true);
    if (view.getUint16(record + Record.Entry, true) === PseudoEntry.Straddle) {
      const known = source.straddle(mode, page + inPage);
      if (known === undefined) return finish({ kind: "interpret", record, inPage });
      // Its own records follow; whatever cannot be done there is left to the one that stands for it here.
      straddle = record;
      secondPage = known.second;
      record = known.record;
      handler = view.getUint16(record + Record.Handler, true);
    }
    if (handler >= Handler.AddressBase && handler < Handler.Count) {
      addressRecord = record;
      addressHandler = handler;
      continue;
    }
    if (handler === Handler.Continue) {
      const next = view.getUint16(record + Record.Offset, true);
      return finish({ kind: "next", inPage: next, target: locate(next) });
    }
    const shape = shapes[handler];
    const leave = straddle || addressRecord || record;
    if (handler < Handler.Count || shape === undefined) {
      return finish({ kind: "interpret", record: leave, inPage });
    }
    const length = view.getUint8(record + Record.InstructionLength);
    const transfers = TRANSFERS.has(shape.name);
    const relative = shape.operands.some((operand) => operand.class === "target");
    const next = inPage + length;
    const target =
      relative && shape.size !== 16
        ? locate(Number(view.getBigInt64(record + Record.Immediate, true)), shape.name === "call")
        : undefined;
    const targets = notesTargets(shape) ? targetsOf(source, mode, record, page, ripPage) : [];
    for (const to of targets) successors.push({ ...to, called: shape.name === "call" });
    const guesses = targets.map(({ offset: at }) => at);
    steps.push({
      addressRecord,
      addressHandler,
      record,
      leave,
      shape,
      inPage,
      length,
      secondPage,
      target,
      guesses,
    });
    addressRecord = 0;
    if (transfers) {
      // Where a call returns to.
      if (shape.name === "call") locate(next);
      return finish({ kind: "jump" });
    }
  }
}
