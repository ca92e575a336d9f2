import { ifCode, isAt, tlbEntryOf } from "../paging/place.ts";
import { descriptions } from "../semantics/descriptions.ts";
import { State } from "../state/layout.ts";
import { HEAD_LIVE, Head, Record } from "../state/record.ts";
import { RegionExit } from "../state/status.ts";
import { call, i32, i64, likely, unlikely } from "../wasm/index.ts";
import type { Callee, FunctionBuilder, I32, I64, Label, Local, Place } from "../wasm/index.ts";
import type { Block, Region, Step, Target } from "./collect-region.ts";
import { cut } from "./narrow-address.ts";
import { addressOf } from "./region-address.ts";
import { RegionContext } from "./region-context.ts";
import type { RegionExits, RegionFrame } from "./region-context.ts";
import { RegionControl } from "./region-control.ts";
import { RegionFlags, sameFlags } from "./region-flags.ts";
import type { FlagFunctions, KnownFlags } from "./region-flags.ts";
import { flowOf } from "./region-flow.ts";
import type { BlockItem, Flow, Item, LoopItem } from "./region-flow.ts";
import { RegionPages } from "./region-pages.ts";
import type { PageKnowledge } from "./region-pages.ts";
import { RegionVectors, sameKnowledge } from "./region-vectors.ts";
import type { VectorKnowledge } from "./region-vectors.ts";
import { RegionBlocks } from "./region-blocks.ts";
import { storeFollows } from "./store-ahead.ts";
import { scalarDoubles } from "./scalar-doubles.ts";

/** What the functions of a module share. */
export interface RegionModule {
  readonly view: DataView;
  /** Offset of the vCPU's state. */
  readonly state: I32;
  readonly flags: FlagFunctions;
  /** Finds the block at `State.Rip`: (state) → what a region answers. */
  readonly find: Callee;
  /** The index of a region's signature in the module. */
  readonly type: number;
}

/** Return addresses that a RET compares with. */
const MOST_RETURNS = 6;
/** `next` when no block is asked for: a loop begins at its header. */
const HEADER = -1;
const PAGE_BYTES = 4096;

/** Writes a region's function; the blocks at which it may be entered, by their numbers. */
export function writeRegion(
  f: FunctionBuilder,
  region: Region,
  module: RegionModule,
): readonly number[] {
  const writer = new RegionWriter(f, region, module);
  writer.write();
  return writer.entries;
}

class RegionWriter {
  readonly #f: FunctionBuilder;
  readonly #region: Region;
  readonly #module: RegionModule;
  readonly #view: DataView;
  readonly #stateGlobal: I32;
  readonly #blocks: RegionBlocks;
  readonly #flow: Flow;
  readonly #frame: RegionFrame;
  readonly #flags: RegionFlags;
  readonly #registers: readonly Local<"i64">[];
  readonly #used = new Set<number>();
  readonly #vectors: RegionVectors;
  readonly #pages: RegionPages;
  readonly #control: RegionControl;
  /** Blocks of the region by the offset of their first instruction. */
  readonly #index: ReadonlyMap<number, number>;
  /** Blocks that calls of the region return to. */
  readonly #returns: readonly number[];
  /** How many ways lead to each block. */
  readonly #ways: number[] = [];
  /** Instructions done before the block that is written, and before others, that `left` still counts. */
  #owed = 0;
  readonly #owedAt = new Map<number, number>();
  /** Instructions left, less those of blocks that are done. */
  readonly #left: Local<"i32">;
  readonly #next: Local<"i32">;
  readonly #dispatches: boolean;
  readonly #stateLocal: Local<"i32">;
  readonly #tlb: Local<"i32">;
  readonly #ripPage: Local<"i64">;
  readonly #answer: Local<"i32">;
  /** Instructions done since `left` was counted. */
  readonly #spent: Local<"i32">;
  #out: Label | undefined;
  /** The way that is being written leads into another page. */
  #crosses = false;
  readonly #labels = new Map<Item, Label>();
  readonly #rounds = new Map<LoopItem, Label>();
  /** What is known of the flags where a block begins, from the ways to it that are written. */
  readonly #knownAt = new Map<number, KnownFlags>();
  /** What is known of pages where a block begins; undefined where ways to it meet. */
  readonly #pagesAt = new Map<number, PageKnowledge | undefined>();
  /** What is known of XMM registers where a block begins, from the ways to it that are written. */
  readonly #vectorsAt = new Map<number, VectorKnowledge>();

  constructor(f: FunctionBuilder, region: Region, module: RegionModule) {
    this.#f = f;
    this.#region = region;
    this.#module = module;
    this.#view = module.view;
    this.#stateGlobal = module.state;
    this.#left = f.parameters[0] as Local<"i32">;
    this.#next = f.parameters[1] as Local<"i32">;
    this.#stateLocal = f.local("i32");
    this.#tlb = f.local("i32");
    this.#ripPage = f.local("i64");
    this.#answer = f.local("i32");
    this.#spent = f.local("i32");
    this.#registers = Array.from({ length: 16 }, () => f.local("i64"));
    const [, , kind, a, b] = f.parameters as [
      Local<"i32">,
      Local<"i32">,
      Local<"i32">,
      Local<"i64">,
      Local<"i64">,
    ];
    this.#flags = new RegionFlags(f, module.flags, { kind, a, b });
    const state = module.state.constant === undefined ? this.#stateLocal.get : module.state;
    this.#vectors = new RegionVectors(f, state, scalarDoubles(region, module.view));
    this.#pages = new RegionPages(f);
    this.#control = new RegionControl(f, state);
    this.#frame = {
      f,
      narrow: region.mode.mode === 32,
      state,
      vectors: this.#vectors,
      pages: this.#pages,
      control: this.#control,
      tlb: this.#tlb,
      ripPage: this.#ripPage,
      flags: this.#flags,
      register: (number) => {
        this.#used.add(number);
        return this.#pages.tracked(number, this.#registers[number] as Local<"i64">);
      },
    };
    const { blocks } = region;
    this.#index = new Map(blocks.map((block, i) => [block.offset, i] as const).toReversed());
    this.#returns = returnPoints(region, this.#index);
    const entry = blocks.findLastIndex(({ offset }) => offset === region.entry);
    const wanted = new Set([entry, ...this.#returns]);
    for (const { steps } of blocks) {
      for (const step of steps) for (const to of this.#guesses(step)) wanted.add(to);
    }
    const graph = (written: RegionBlocks): { ways: number[][]; flow: Flow } => {
      const ways = written.all.map((block, number) => this.#successors(block, number, written));
      const flow = flowOf(
        ways.map((list) => [...new Set(list)]),
        written.all.map(({ steps }) => steps.length),
        wanted,
        blocks.length,
      );
      return { ways, flow };
    };
    const once = new RegionBlocks(blocks, this.#index);
    const first = graph(once);
    this.#blocks = once.unrolled(first.flow);
    const { ways, flow } = this.#blocks === once ? first : graph(this.#blocks);
    this.#flow = flow;
    for (const to of ways.flat()) this.#ways[to] = (this.#ways[to] ?? 0) + 1;
    const hasEntries = (item: Item): boolean =>
      item.kind === "loop" && (item.entries.length > 0 || item.body.some(hasEntries));
    this.#dispatches = this.#flow.items.some(hasEntries);
  }

  get entries(): readonly number[] {
    return this.#flow.entries;
  }

  #guesses(step: Step): number[] {
    return step.guesses
      .map((offset) => this.#index.get(offset))
      .filter((block) => block !== undefined);
  }

  /** The blocks of the region that a block leads to, each as often as it does. */
  #successors({ steps, end }: Block, from: number, blocks: RegionBlocks): number[] {
    const found: number[] = [];
    const add = (target: Target | undefined): void => {
      const block = target && blocks.at(target.offset, from);
      if (block !== undefined) found.push(block);
    };
    for (const step of steps) {
      add(step.target);
      found.push(...this.#guesses(step));
      if (step.shape.name === "ret") found.push(...this.#returns);
    }
    if (end.kind === "next") add(end.target);
    return found;
  }

  write(): void {
    const f = this.#f;
    const { state } = this.#frame;
    f.block((leaving) => {
      this.#out = leaving;
      this.#items(this.#flow.items, () => this.#dispatch(this.#flow.items));
    });
    const left = f.let(i32.sub(this.#left.get, this.#spent.get));
    f.if(i32.eqz(this.#answer.get), () =>
      f.set(this.#answer, call<"i32">(this.#module.find, state)),
    );
    // From region to region without the interpreter between.
    f.if(i32.and(this.#answer.get, i32.const(RegionExit.Block)), () => {
      const head = f.let(i32.sub(this.#answer.get, i32.const(RegionExit.Block + Record.Length)));
      f.if(i32.eq(i32.load(head, Head.Count), i32.const(HEAD_LIVE)), () => {
        const entry = i32.load(head, Head.Entry);
        const { kind, a, b } = this.#flags.locals;
        const flags = [kind.get, a.get, b.get];
        const index = i32.load(head, Head.Region);
        f.returnCallIndirect(this.#module.type, index, left, entry, ...flags);
      });
    });
    this.#flags.store(state);
    f.store.i32(state, left, State.Remaining);
    f.return(this.#answer.get);

    f.prologue(() => {
      if (this.#stateGlobal.constant === undefined) f.set(this.#stateLocal, this.#stateGlobal);
      f.set(this.#tlb, i32.load(state, State.Tlb));
      f.set(this.#ripPage, i64.load(state, State.RipPage));
      for (const number of this.#used) {
        const local = this.#registers[number] as Local<"i64">;
        f.set(local, i64.load(state, State.Registers + number * 8));
      }
      this.#vectors.load();
      this.#control.load();
    });
  }

  /** Nested blocks, the last item's outermost: branching to an item's label goes on with it, then with those behind. */
  #items(items: readonly Item[], first: () => void): void {
    const f = this.#f;
    const nest = (at: number): void => {
      const item = items[at];
      if (item === undefined) {
        first();
        return;
      }
      f.block((label) => {
        this.#labels.set(item, label);
        nest(at - 1);
      });
      if (item.kind === "block") this.#block(item.block, items[at + 1]);
      else this.#loop(item);
    };
    nest(items.length - 1);
  }

  #loop(item: LoopItem): void {
    const f = this.#f;
    f.loop((round) => {
      this.#rounds.set(item, round);
      this.#items(item.body, () => {
        if (item.entries.length === 0) return;
        f.if(unlikely(i32.ge_s(this.#next.get, i32.const(0))), () => this.#dispatch(item.body));
      });
    });
    f.unreachable();
  }

  /** Goes on with the item that the block of number `next` is in. */
  #dispatch(items: readonly Item[]): void {
    const labels: Label[] = [];
    const collect = (item: Item, label: Label): void => {
      if (item.kind === "block") labels[item.block] = label;
      else for (const inner of item.body) collect(inner, label);
    };
    for (const item of items) collect(item, this.#labels.get(item) as Label);
    const [first] = items as [Item];
    const otherwise = this.#labels.get(first) as Label;
    this.#f.brTable(
      this.#next.get,
      Array.from(labels, (label) => label ?? otherwise),
      otherwise,
    );
  }

  /** Leaves; `executed` instructions of the block are done. */
  #leave(exit: number, executed: number): void {
    const f = this.#f;
    f.set(this.#answer, i32.const(exit));
    f.set(this.#spent, i32.const(this.#owed + executed));
    f.br(this.#out as Label);
  }

  #leaveTo(rip: I64, executed: number): void {
    this.#f.store.i64(this.#frame.state, rip, State.Rip);
    this.#leave(RegionExit.Look, executed);
  }

  /** Goes on with a block of the region. */
  #goTo(block: number, from: number, executed: number, adjacent?: Item): void {
    const f = this.#f;
    const { itemOf, checked } = this.#flow;
    const owed = this.#owed + executed;
    // Where a block is reached in one way only it is known how many instructions were done on it.
    if (this.#ways[block] === 1 && !checked.has(block)) this.#owedAt.set(block, owed);
    else if (owed !== 0) f.set(this.#left, i32.sub(this.#left.get, i32.const(owed)));
    const around = loopsAround(itemOf[from] as BlockItem);
    const back = around.find(({ header }) => header === block);
    if (back !== undefined) {
      f.br(this.#rounds.get(back) as Label);
      return;
    }
    const { known } = this.#flags;
    const before = this.#knownAt.has(block) ? this.#knownAt.get(block) : known;
    this.#knownAt.set(block, sameFlags(before, known) ? known : undefined);
    const { knowledge } = this.#vectors;
    const other = this.#vectorsAt.get(block);
    this.#vectorsAt.set(block, other === undefined ? knowledge : sameKnowledge(other, knowledge));
    const alone = !this.#pagesAt.has(block) && !this.#crosses;
    this.#pagesAt.set(block, alone ? this.#pages.knowledge : undefined);
    let target = itemOf[block] as Item;
    while (target.parent !== undefined && !around.includes(target.parent)) {
      target = target.parent;
      if (target.header !== block) f.set(this.#next, i32.const(block));
    }
    if (target !== adjacent) f.br(this.#labels.get(target) as Label);
  }

  /** Goes on in another page of code. */
  #goToPage(rip: I64, go: () => void): void {
    const f = this.#f;
    f.set(this.#ripPage, i64.and(rip, i64.const(-4096)));
    f.store.i64(this.#frame.state, this.#ripPage.get, State.RipPage);
    this.#crosses = true;
    go();
    this.#crosses = false;
  }

  /** What a linear address of code is in the memory; 0 if the TLB does not say. */
  #locate(rip: I64): Place {
    const f = this.#f;
    const entry = f.let(tlbEntryOf(this.#frame.tlb.get, rip));
    const offset = f.local<"i32" | "i64">(f.wide ? "i64" : "i32");
    f.set(offset, f.wide ? i64.const(0) : i32.const(0));
    ifCode(f, rip, entry, (place) => f.set(offset, place));
    return offset.get;
  }

  #follow(
    target: Target | undefined,
    rip: () => I64,
    from: number,
    executed: number,
    adjacent?: Item,
  ): void {
    const f = this.#f;
    const block = target && this.#blocks.at(target.offset, from);
    const record = target && this.#region.mode.records.get(target.offset);
    if (target === undefined || (block === undefined && record === undefined)) {
      this.#leaveTo(rip(), executed);
      return;
    }
    const go = (next?: Item): void => {
      if (block === undefined) this.#leave((record as number) | RegionExit.Block, executed);
      else this.#goTo(block, from, executed, next);
    };
    if (!target.crosses) {
      go(adjacent);
      return;
    }
    const to = f.let(rip());
    f.if(likely(isAt(this.#locate(to), target.offset)), () => this.#goToPage(to, go));
    this.#leaveTo(to, executed);
  }

  /** A return to a call of this region, and a jump to one of its blocks, stay in it. */
  #jumpTo(rip: I64, blocks: readonly number[], from: number, executed: number): void {
    const f = this.#f;
    if (blocks.length === 0) {
      this.#leaveTo(rip, executed);
      return;
    }
    const to = f.let(rip);
    const all = this.#blocks.all;
    const { page } = all[from] as Block;
    // The page that is running is where it is.
    for (const block of blocks) {
      const inPage = (all[block] as Block).offset - page;
      if (inPage < 0 || inPage >= PAGE_BYTES) continue;
      const address = i64.add(this.#ripPage.get, i64.const(inPage));
      f.if(i64.eq(to, address), () => this.#goTo(block, from, executed));
    }
    const farther = blocks.filter((block) => (all[block] as Block).page !== page);
    if (farther.length > 0) {
      const offset = this.#locate(to);
      for (const block of farther) {
        f.if(isAt(offset, (all[block] as Block).offset), () => {
          this.#goToPage(to, () => this.#goTo(block, from, executed));
        });
      }
    }
    this.#leaveTo(to, executed);
  }

  /** @param behind the item that follows in the code. */
  #block(number: number, behind: Item | undefined): void {
    const f = this.#f;
    const block = this.#blocks.all[number] as Block;
    const { checked, longest } = this.#flow;
    const isChecked = checked.has(number);
    this.#owed = this.#owedAt.get(number) ?? 0;
    const most = i32.const((longest[number] as number) + this.#owed);
    this.#vectors.begin(isChecked ? undefined : this.#vectorsAt.get(number));
    this.#pages.begin(isChecked ? undefined : this.#pagesAt.get(number));
    this.#flags.known = isChecked ? undefined : this.#knownAt.get(number);
    if (isChecked) {
      if (this.#dispatches) f.set(this.#next, i32.const(HEADER));
      f.if(unlikely(i32.lt_s(this.#left.get, most)), () => this.#leave(block.record, 0));
    }
    block.steps.forEach((step, done) => this.#step(step, number, done, most, block.steps));
    const { end, steps } = block;
    f.scope(() => {
      if (end.kind === "next") {
        const rip = (): I64 => {
          const next = i64.add(this.#ripPage.get, i64.const(end.inPage));
          return this.#frame.narrow ? cut(next) : next;
        };
        this.#follow(end.target, rip, number, steps.length, behind);
      } else if (end.kind === "interpret") this.#leave(end.record, steps.length);
      else f.unreachable();
    });
  }

  #step(step: Step, from: number, done: number, most: I32, steps: readonly Step[]): void {
    const f = this.#f;
    const { shape, record, secondPage } = step;
    const flags = this.#flags;
    const whole = (round: Label | undefined): void =>
      f.block((end) => {
        const interpret = (): void => this.#leave(step.leave, done);
        if (secondPage >= 0) {
          const next = f.let(i64.add(this.#ripPage.get, i64.const(PAGE_BYTES)));
          f.if(unlikely(i32.eqz(isAt(this.#locate(next), secondPage))), interpret);
        }
        const exits: RegionExits = {
          done: () => f.br(end),
          interpret,
          again: () => {
            // Each round counts as an instruction.
            f.set(this.#left, i32.sub(this.#left.get, i32.const(1)));
            f.if(unlikely(i32.lt_s(this.#left.get, most)), interpret);
            f.br(round as Label);
          },
          jump: (rip) => {
            const known = shape.name === "ret" ? this.#returns : this.#guesses(step);
            this.#jumpTo(rip, known, from, done + 1);
          },
          branch: () => this.#follow(step.target, () => context.targetRip(), from, done + 1),
        };
        const address = f.let(addressOf(this.#view, this.#frame, step, interpret));
        const writes = storeFollows(this.#view, steps, done);
        const operand = { record, address, writes };
        const context = new RegionContext(shape, this.#frame, this.#view, operand, exits);
        descriptions[shape.name]?.describe(context);
        context.finish();
      });
    f.scope(() => {
      if (shape.repeat === "") {
        whole(undefined);
        return;
      }
      flags.known = undefined;
      this.#pages.begin();
      f.loop(whole);
      flags.known = undefined;
      this.#pages.begin();
    });
  }
}

/** The loops that an item lies in, the innermost first. */
function loopsAround(item: Item): LoopItem[] {
  const loops: LoopItem[] = [];
  for (let at = item.parent; at !== undefined; at = at.parent) loops.push(at);
  return loops;
}

/** The blocks that calls of the region return to. */
function returnPoints(region: Region, index: ReadonlyMap<number, number>): number[] {
  const found = new Set<number>();
  for (const { steps, page } of region.blocks) {
    const last = steps.at(-1);
    if (last?.shape.name !== "call") continue;
    const block = index.get(page + last.inPage + last.length);
    if (block !== undefined) found.add(block);
  }
  return [...found].slice(0, MOST_RETURNS);
}
