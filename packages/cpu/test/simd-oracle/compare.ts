/**
 * Compares as many instances as wanted of each form, or of those whose name contains a given text:
 * `node --conditions=@queztl/source packages/cpu/test/simd-oracle/compare.ts 5000 pcmpistri`.
 */
import { compare, instances } from "./differences.ts";
import { Guest } from "./guest.ts";
import { askHost } from "./host.ts";
import { VARIANTS } from "./instances.ts";

const [count = "1000", text = "", seed = "1"] = process.argv.slice(2);
const guest = new Guest();
let executed = 0;
let faults = 0;
let differing = 0;
const share = 1000;
VARIANTS.forEach((variant, index) => {
  if (!variant.name.includes(text)) return;
  let shown = 0;
  for (let done = 0; done < Number(count); done += share) {
    const wanted = Math.min(share, Number(count) - done);
    const before = instances([variant], wanted, Number(seed) + index * 1009 + done);
    const [found] = compare([variant], before, askHost(before), guest);
    if (found === undefined) continue;
    executed += found.executed;
    faults += found.faults;
    for (const difference of found.differences) {
      differing++;
      if (shown++ < 3) console.log(difference);
    }
  }
});
console.log(
  `${VARIANTS.length} forms; ${executed} instances, ${faults} faults, ${differing} differences found`,
);
