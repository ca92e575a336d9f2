/** Who imports whom: the edges of a directed graph, by node. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * The circles of a graph, one for each strongly connected component (Tarjan 1972), each as the
 * shortest way round from its alphabetically first member: `[a, b]` means a → b → a.
 */
export function circlesOf(graph: Graph): string[][] {
  return componentsOf(graph)
    .map((members) => shortestWayRound(graph, new Set(members)))
    .filter((circle) => circle !== undefined)
    .sort((a, b) => String(a[0]).localeCompare(String(b[0])));
}

function componentsOf(graph: Graph): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const components: string[][] = [];

  const visit = (node: string): number => {
    const mine = index.size;
    let lowest = mine;
    index.set(node, mine);
    stack.push(node);
    onStack.add(node);
    for (const next of graph.get(node) ?? []) {
      const seen = index.get(next);
      if (seen === undefined) lowest = Math.min(lowest, visit(next));
      else if (onStack.has(next)) lowest = Math.min(lowest, low.get(next) ?? seen);
    }
    low.set(node, lowest);
    if (lowest === mine) {
      const component = stack.splice(stack.indexOf(node));
      for (const member of component) onStack.delete(member);
      components.push(component);
    }
    return lowest;
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return components;
}

function shortestWayRound(graph: Graph, members: ReadonlySet<string>): string[] | undefined {
  const start = [...members].sort()[0];
  if (start === undefined) return undefined;
  const ways: string[][] = [[start]];
  const reached = new Set<string>();
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    for (const next of graph.get(way.at(-1) ?? start) ?? []) {
      if (next === start) return way;
      if (!members.has(next) || reached.has(next)) continue;
      reached.add(next);
      ways.push([...way, next]);
    }
  }
  return undefined;
}
