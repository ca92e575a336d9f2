/**
 * Compares as many cases as wanted of each instruction, or of those whose name starts with a given text:
 * `node packages/cpu/test/float-oracle/compare.ts 200000 "d9 f"`.
 */
import { differences } from "./host-oracle.ts";
import { SSE_GROUPS } from "./sse-groups.ts";
import { X87_GROUPS, agreement } from "./x87-groups.ts";

const [count = "10000", prefix = ""] = process.argv.slice(2);
const groups = [...SSE_GROUPS, ...X87_GROUPS];
let compared = 0;
let failed = 0;
// A share at a time: one case takes 640 bytes.
const share = 100_000;
for (const group of groups) {
  if (!group.name.startsWith(prefix)) continue;
  const trials = group.generate(Number(count));
  for (let start = 0; start < trials.length; start += share) {
    const part = { name: group.name, generate: () => trials.slice(start, start + share) };
    compared += Math.min(share, trials.length - start);
    for (const difference of differences([part], 0, share).flat()) {
      failed++;
      console.log(difference);
    }
  }
}
for (const [name, { exact, close }] of agreement) {
  console.log(
    `${name}: ${((100 * exact) / (exact + close)).toFixed(2)} % exact, the others one unit off`,
  );
}
console.log(`${compared} cases compared, ${failed} differences shown`);
