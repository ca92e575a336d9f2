import type { Block, Target } from "./collect-region.ts";
import type { Flow, Item, LoopItem } from "./region-flow.ts";

/** The most rounds of a loop that are written behind each other, and the most instructions of them all. */
const MOST_ROUNDS = 4;
const MOST_INSTRUCTIONS = 24;

/** One of the rounds of a loop that are written behind each other. */
interface Round {
  readonly header: number;
  /** The numbers of this round's blocks and of the next one's, by those of the first. */
  readonly own: ReadonlyMap<number, number>;
  readonly next: ReadonlyMap<number, number>;
}

/** The blocks of a region as they are written, and where each leads. */
export class RegionBlocks {
  readonly all: readonly Block[];
  /** Blocks by the offset of their first instruction: of several the first. */
  readonly #index: ReadonlyMap<number, number>;
  readonly #rounds: ReadonlyMap<number, Round>;

  constructor(
    all: readonly Block[],
    index: ReadonlyMap<number, number>,
    rounds: ReadonlyMap<number, Round> = new Map(),
  ) {
    this.all = all;
    this.#index = index;
    this.#rounds = rounds;
  }

  /** The block at an offset that another one leads to: in a loop that of the same round, or the next one's header. */
  at(offset: number, from: number): number | undefined {
    const block = this.#index.get(offset);
    const round = this.#rounds.get(from);
    if (round === undefined || block === undefined) return block;
    return (block === round.header ? round.next : round.own).get(block) ?? block;
  }

  /**
   * The same with several rounds of each short loop, each leading to the next one and the last to the first: all but the first
   * know what the one before has found out, and need no look at the budget. What follows a loop in one of its blocks becomes
   * a block of its own. Where there is no such loop it is this object.
   */
  unrolled(flow: Flow): RegionBlocks {
    const all = [...this.all];
    const index = new Map(this.#index);
    const rounds = new Map<number, Round>();
    for (const { header, body, entries } of innermostLoops(flow.items)) {
      const members = body.flatMap((item) => (item.kind === "block" ? [item.block] : []));
      const lengths = members.map((number) => this.#lengthInside(number, members));
      const length = lengths.reduce((sum, one) => sum + one);
      const count = Math.min(MOST_ROUNDS, Math.floor(MOST_INSTRUCTIONS / length));
      if (count < 2 || entries.length > 0 || lengths.includes(0)) continue;
      members.forEach((number, i) => {
        const block = all[number] as Block;
        const inside = lengths[i] as number;
        const behind = block.steps[inside];
        if (behind === undefined) return;
        const { leave: record, inPage } = behind;
        const offset = block.page + inPage;
        const end = { kind: "next", inPage, target: { offset, crosses: false } } as const;
        all[number] = { ...block, steps: block.steps.slice(0, inside), end };
        index.set(offset, all.length);
        all.push({ ...block, offset, record, steps: block.steps.slice(inside) });
      });
      const first = new Map(members.map((number) => [number, number]));
      const numbers = [first];
      while (numbers.length < count) {
        numbers.push(new Map(members.map((at) => [at, all.push(all[at] as Block) - 1])));
      }
      numbers.forEach((own, i) => {
        const round = { header, own, next: numbers[i + 1] ?? first };
        for (const number of own.values()) rounds.set(number, round);
      });
    }
    return rounds.size === 0 ? this : new RegionBlocks(all, index, rounds);
  }

  /** How many instructions of a block may lead on to one of some blocks. */
  #lengthInside(number: number, blocks: readonly number[]): number {
    const { steps, end } = this.all[number] as Block;
    const isInside = (target: Target | undefined): boolean => {
      const block = target && this.#index.get(target.offset);
      return block !== undefined && blocks.includes(block);
    };
    if (end.kind === "next" && isInside(end.target)) return steps.length;
    return steps.findLastIndex(({ target }) => isInside(target)) + 1;
  }
}

/** Loops with no other inside. */
function innermostLoops(items: readonly Item[]): LoopItem[] {
  return items.flatMap((item) => {
    if (item.kind === "block") return [];
    return item.body.every(({ kind }) => kind === "block") ? [item] : innermostLoops(item.body);
  });
}
