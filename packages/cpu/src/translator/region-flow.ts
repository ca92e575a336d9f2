/** Code in the order in which it is written: a block, or a loop around more of it. */
export type Item = BlockItem | LoopItem;

export interface BlockItem {
  readonly kind: "block";
  readonly block: number;
  readonly parent: LoopItem | undefined;
}

/** What goes round by its header; `entries` are the blocks inside that are also entered otherwise. */
export interface LoopItem {
  readonly kind: "loop";
  readonly header: number;
  readonly entries: readonly number[];
  readonly body: readonly Item[];
  readonly parent: LoopItem | undefined;
}

/** How the blocks of a region are nested. */
export interface Flow {
  readonly items: readonly Item[];
  /** The item of each block. */
  readonly itemOf: readonly BlockItem[];
  /** Blocks at which the region may be entered. */
  readonly entries: readonly number[];
  /** Blocks at which the budget is compared: each way round a loop meets one. */
  readonly checked: ReadonlySet<number>;
  /** The most instructions from the beginning of each block to that of a checked one. */
  readonly longest: readonly number[];
}

/**
 * Finds the loops of a region. A block inside a loop is an entry of the region only if it is the loop's header or
 * wanted: each other entry costs the loop a comparison each time round.
 * @param wanted blocks that must be entries.
 * @param blocks how many may be entries; those behind them are reached from inside only.
 */
export function flowOf(
  successors: readonly (readonly number[])[],
  lengths: readonly number[],
  wanted: ReadonlySet<number>,
  blocks = successors.length,
): Flow {
  const itemOf: BlockItem[] = [];
  const headers = new Set<number>();
  const entered = new Set<number>();

  /** Items of `nodes`, each before what it leads to; `cut` are headers of the loops around. */
  const arrange = (
    nodes: readonly number[],
    cut: ReadonlySet<number>,
    parent: LoopItem | undefined,
  ): Item[] => {
    const inside = new Set(nodes);
    const kept = new Map(
      nodes.map((node) => [
        node,
        (successors[node] ?? []).filter((to) => inside.has(to) && !cut.has(to)),
      ]),
    );
    const edges = (node: number): readonly number[] => kept.get(node) ?? [];
    return sorted(components(nodes, edges), edges, parent?.header).map((members): Item => {
      const [block = 0] = members;
      if (members.length === 1 && !edges(block).includes(block)) {
        const item: BlockItem = { kind: "block", block, parent };
        itemOf[block] = item;
        return item;
      }
      const isMember = (node: number): boolean => members.includes(node);
      const fromOutside = members.filter((node) =>
        successors.some((list, from) => list.includes(node) && !isMember(from)),
      );
      const also = members.filter((node) => wanted.has(node));
      const header = fromOutside[0] ?? outermost(also[0] ?? block, members, edges);
      headers.add(header);
      for (const node of [...fromOutside, ...also]) entered.add(node);
      const body: Item[] = [];
      const entries: number[] = [];
      const loop: LoopItem = { kind: "loop", header, entries, body, parent };
      body.push(...arrange(members, new Set([...cut, header]), loop));
      // Headers of loops inside are entries of the region, too.
      entries.push(
        ...members.filter((node) => node !== header && (entered.has(node) || headers.has(node))),
      );
      return loop;
    });
  };

  const nodes = successors.map((_, node) => node);
  const items = arrange(nodes, new Set(), undefined);
  const isEntry = (node: number): boolean =>
    wanted.has(node) || headers.has(node) || itemOf[node]?.parent === undefined;
  const entries = nodes.slice(0, blocks).filter(isEntry);
  const checked = new Set([...entries, ...entered]);

  const longest: number[] = [];
  const longestFrom = (node: number): number => {
    const known = longest[node];
    if (known !== undefined) return known;
    let most = 0;
    for (const to of successors[node] ?? []) {
      if (!checked.has(to)) most = Math.max(most, longestFrom(to));
    }
    return (longest[node] = (lengths[node] ?? 0) + most);
  };
  for (const node of nodes) longestFrom(node);
  return { items, itemOf, entries, checked, longest };
}

/**
 * The header of a loop that is only entered at one of its blocks: that block, or, where it is in a loop inside, the first one
 * around that.
 */
function outermost(
  entered: number,
  members: readonly number[],
  edges: (node: number) => readonly number[],
): number {
  const [first = entered] = members;
  const inside = (node: number): readonly number[] => edges(node).filter((to) => to !== first);
  const around = components(members, inside).find((part) => part.includes(entered)) as number[];
  return around.length > 1 || inside(entered).includes(entered) ? first : entered;
}

/** Strongly connected components (Tarjan). */
function components(
  nodes: readonly number[],
  edges: (node: number) => readonly number[],
): number[][] {
  const found: number[][] = [];
  const order = new Map<number, number>();
  const lowest = new Map<number, number>();
  const stack: number[] = [];
  const visit = (node: number): number => {
    const index = order.size;
    order.set(node, index);
    let low = index;
    stack.push(node);
    for (const to of edges(node)) {
      if (!order.has(to)) low = Math.min(low, visit(to));
      else if (stack.includes(to)) low = Math.min(low, order.get(to) as number);
    }
    lowest.set(node, low);
    if (low === index) found.push(stack.splice(stack.indexOf(node)).toSorted((a, b) => a - b));
    return low;
  };
  for (const node of nodes) if (!order.has(node)) visit(node);
  return found;
}

/** Components so that edges lead ahead, otherwise in the order of their first blocks; the header's first. */
function sorted(
  parts: readonly number[][],
  edges: (node: number) => readonly number[],
  header: number | undefined,
): number[][] {
  if (parts.length === 1) return [...parts];
  const partOf = new Map<number, number[]>();
  for (const part of parts) for (const node of part) partOf.set(node, part);
  const targets = new Map(
    parts.map((part) => {
      const found = new Set(
        part.flatMap((node) => edges(node).map((to) => partOf.get(to) as number[])),
      );
      found.delete(part);
      return [part, found];
    }),
  );
  const waits = new Map<number[], number>(parts.map((part) => [part, 0]));
  for (const found of targets.values()) {
    for (const to of found) waits.set(to, (waits.get(to) as number) + 1);
  }
  const rank = (part: number[]): number => (part[0] === header ? -1 : (part[0] as number));
  const ready = parts.filter((part) => waits.get(part) === 0);
  const result: number[][] = [];
  for (;;) {
    const [first] = ready;
    if (first === undefined) return result;
    const next = ready.reduce((one, other) => (rank(other) < rank(one) ? other : one), first);
    ready.splice(ready.indexOf(next), 1);
    result.push(next);
    for (const to of targets.get(next) ?? []) {
      const left = (waits.get(to) as number) - 1;
      waits.set(to, left);
      if (left === 0) ready.push(to);
    }
  }
}
