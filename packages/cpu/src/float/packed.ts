/**
 * Vectors of elements: the exceptions of all elements are found before any is reported, and an unmasked
 * pre-computation exception in one hides the post-computation exceptions of all (SDM vol. 1, 11.5.2).
 */
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
