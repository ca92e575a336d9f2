/** Sizes of classes that fit past allocations best, and what that saves. */
export interface FittedSizes {
  /** MiB of each class, rising. */
  readonly memoryMib: readonly number[];
  /** GiB·h of rounding up that the present sizes cost on these allocations. */
  readonly presentWaste: number;
  readonly fittedWaste: number;
}

interface Allocation {
  readonly memoryMib: number;
  readonly hours: number;
}

const MOST_DISTINCT = 200;
const STEP_MIB = 64;

/**
 * The `count` class sizes that waste least when each allocation takes the smallest class that holds it:
 * exact dynamic programming over the distinct sizes.
 */
export function fitClassSizes(
  allocations: readonly Allocation[],
  present: readonly number[],
  count: number,
): FittedSizes {
  const byStep = new Map<number, { hours: number; used: number }>();
  for (const { memoryMib, hours } of allocations) {
    const size = Math.ceil(memoryMib / STEP_MIB) * STEP_MIB;
    const sum = byStep.get(size) ?? { hours: 0, used: 0 };
    sum.hours += hours;
    sum.used += hours * memoryMib;
    byStep.set(size, sum);
  }
  const steps = [...byStep].sort((a, b) => a[0] - b[0]);
  const kept = steps.length <= MOST_DISTINCT ? steps : thinned(steps);
  const n = kept.length;
  if (n === 0) return { memoryMib: [], presentWaste: 0, fittedWaste: 0 };
  const hours = [0];
  const used = [0];
  for (const [i, [, sum]] of kept.entries()) {
    hours.push((hours[i] as number) + sum.hours);
    used.push((used[i] as number) + sum.used);
  }
  // least[i]: the least waste of the first i sizes with the classes placed so far, the last at i.
  let least = Array.from({ length: n + 1 }, (_, i) => (i === 0 ? 0 : Infinity));
  const cuts: number[][] = [];
  for (let k = 0; k < Math.min(count, n); k += 1) {
    const next = Array.from({ length: n + 1 }, (_, i) => (i === 0 ? 0 : Infinity));
    const from = Array.from({ length: n + 1 }, () => 0);
    for (let i = 1; i <= n; i += 1) {
      const size = kept[i - 1]?.[0] as number;
      for (let j = 0; j < i; j += 1) {
        const waste =
          size * ((hours[i] as number) - (hours[j] as number)) -
          ((used[i] as number) - (used[j] as number));
        const total = (least[j] as number) + waste;
        if (total < (next[i] as number)) {
          next[i] = total;
          from[i] = j;
        }
      }
    }
    least = next;
    cuts.push(from);
  }
  const sizes: number[] = [];
  for (let k = cuts.length - 1, i = n; i > 0 && k >= 0; k -= 1) {
    sizes.unshift(kept[i - 1]?.[0] as number);
    i = cuts[k]?.[i] as number;
  }
  return {
    memoryMib: sizes,
    presentWaste: roundingWaste(allocations, present),
    fittedWaste: roundingWaste(allocations, sizes),
  };
}

/** GiB·h between what runs were given and the smallest size that holds each; those that none holds are left out. */
export function roundingWaste(
  allocations: readonly Allocation[],
  sizes: readonly number[],
): number {
  const sorted = sizes.toSorted((a, b) => a - b);
  let waste = 0;
  for (const { memoryMib, hours } of allocations) {
    const size = sorted.find((candidate) => candidate >= memoryMib);
    if (size !== undefined) waste += ((size - memoryMib) * hours) / 1024;
  }
  return waste;
}

/** Merges neighbours upwards until few enough are left. */
function thinned(steps: [number, { hours: number; used: number }][]): typeof steps {
  const stride = Math.ceil(steps.length / MOST_DISTINCT);
  const kept: typeof steps = [];
  for (let i = 0; i < steps.length; i += stride) {
    const group = steps.slice(i, i + stride);
    const last = group.at(-1)?.[0] as number;
    kept.push([
      last,
      {
        hours: group.reduce((sum, [, { hours }]) => sum + hours, 0),
        used: group.reduce((sum, [, { used }]) => sum + used, 0),
      },
    ]);
  }
  return kept;
}
