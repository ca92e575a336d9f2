/**
 * Vectors of elements: the exceptions of all elements are found before any is reported, and an unmasked
 * pre-computation exception in one hides the post-computation exceptions of all (SDM vol. 1, 11.5.2).
 */
import { f32Add, f32Multiply, f64Add, f64Multiply } from "./sse.ts";
import { PRE_COMPUTATION } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/**
 * Runs `element` for indices 0 … `count - 1` and leaves in `status.flags` what the whole instruction raises. True when
 * it may write its result, false when it must fault (#XM).
 */
export function forEachElement(
  status: FloatStatus,
  count: number,
  element: (index: number) => void,
): boolean {
  let flags = 0;
  for (let index = 0; index < count; index++) {
    status.flags = 0;
    element(index);
    flags |= status.flags;
  }
  if ((flags & ~status.masks & PRE_COMPUTATION) !== 0) flags &= PRE_COMPUTATION;
  status.flags = flags;
  return (flags & ~status.masks) === 0;
}

/**
 * DPPS (SDM vol. 2): the sum of the products that `immediate[7:4]` selects, which goes to the elements that `immediate[3:0]` selects.
 * Products, then sums in pairs, then their sum; undefined when one of these steps faults and the others are not made.
 */
export function f32DotProduct(
  a: readonly number[],
  b: readonly number[],
  immediate: number,
  status: FloatStatus,
): number | undefined {
  const products = [0, 0, 0, 0];
  const sums = [0, 0];
  let sum = 0;
  const made = inSteps(status, [
    [
      4,
      (lane) => {
        if (immediate & (16 << lane))
          products[lane] = f32Multiply(a[lane] ?? 0, b[lane] ?? 0, status);
      },
    ],
    [
      2,
      (pair) => {
        sums[pair] = f32Add(products[2 * pair] ?? 0, products[2 * pair + 1] ?? 0, status);
      },
    ],
    [
      1,
      () => {
        sum = f32Add(sums[0] ?? 0, sums[1] ?? 0, status);
      },
    ],
  ]);
  return made ? sum : undefined;
}

/** DPPD, like {@link f32DotProduct}: `immediate[5:4]` selects the products. */
export function f64DotProduct(
  a: readonly bigint[],
  b: readonly bigint[],
  immediate: number,
  status: FloatStatus,
): bigint | undefined {
  const products = [0n, 0n];
  let sum = 0n;
  const made = inSteps(status, [
    [
      2,
      (lane) => {
        if (immediate & (16 << lane))
          products[lane] = f64Multiply(a[lane] ?? 0n, b[lane] ?? 0n, status);
      },
    ],
    [
      1,
      () => {
        sum = f64Add(products[0] ?? 0n, products[1] ?? 0n, status);
      },
    ],
  ]);
  return made ? sum : undefined;
}

/** Runs vector operations one after another until one faults, gathering their flags. */
function inSteps(
  status: FloatStatus,
  steps: readonly (readonly [number, (index: number) => void])[],
): boolean {
  let flags = 0;
  const made = steps.every(([count, element]) => {
    const done = forEachElement(status, count, element);
    flags |= status.flags;
    return done;
  });
  status.flags = flags;
  return made;
}
