import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { SeededEntropy, hostEntropy } from "./entropy.ts";
import type { Entropy } from "./entropy.ts";

function filled<Bytes extends Uint8Array>(bytes: Bytes, source: Entropy): Bytes {
  source.fill(bytes);
  return bytes;
}
const take = (source: Entropy, count: number) => filled(new Uint8Array(count), source);

test("the same seed → the same bytes; another seed → others", () => {
  expect(take(new SeededEntropy(7), 100)).toEqual(take(new SeededEntropy(7), 100));
  expect(take(new SeededEntropy(7), 100)).not.toEqual(take(new SeededEntropy(8), 100));
});

test("saved and restored → goes on alike", () => {
  const a = new SeededEntropy(1);
  take(a, 33);
  const b = new SeededEntropy(2);
  b.restore(a.save());
  expect(take(b, 64)).toEqual(take(a, 64));
});

test("a state that is none → coded error, the generator unchanged", () => {
  const entropy = new SeededEntropy(1);
  const before = entropy.save();
  for (const bad of [[], [1, 2, 3], [0, 0, 0, 0], [1, 2, 3, -4], [1, 2, 3, 2 ** 32], [1, 2, 3, 4, 5]])
    expect(() => entropy.restore(bad)).toThrow(
      expect.toSatisfy((e) => isQueztlError(e, "QZ_MEMORY_STATE")),
    ); // prettier-ignore
  expect(entropy.save()).toEqual(before);
});

test("seeded bytes → every value, evenly enough", () => {
  const counts = new Uint32Array(256);
  for (const byte of take(new SeededEntropy(42), 256 * 1000)) counts[byte]!++;
  // χ² with 255 degrees of freedom: 1 in 10⁶ is 371; the seed is fixed.
  const chi2 = counts.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  expect(chi2).toBeLessThan(371);
  expect(chi2).toBeGreaterThan(150);
});

test("the host's bytes → fill more than one call's worth, and shared memory", () => {
  const bytes = filled(new Uint8Array(new SharedArrayBuffer(200_000)), hostEntropy);
  expect(new Set(bytes).size).toBe(256);
  expect(bytes.subarray(-16).some((byte) => byte !== 0)).toBe(true);
});
