/**
 * Compares random instances with the processor that runs this:
 * `node --conditions=@queztl/source packages/cpu/test/oracle/run.ts --count 2000000 [--seed 1] [--only 'regexp of opcode rows'] [--show 3] [--vectors | --sequences]`
 */
import { parseArgs } from "node:util";
import { compareWithHost } from "./campaign.ts";
import { EmulatedHost } from "./emulated.ts";
import { formsOf, usesVectors } from "./forms.ts";
import { compareSequences } from "./sequences.ts";
import { Chooser, memoryImage } from "./values.ts";
import { comparesVectors, randomVectors } from "./vectors.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "200000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    show: { type: "string", default: "2" },
    vectors: { type: "boolean", default: false },
    sequences: { type: "boolean", default: false },
  },
});
const [count, seed, show] = [Number(values.count), Number(values.seed), Number(values.show)];

function runSequences(): number {
  const image = memoryImage();
  const emulated = new EmulatedHost(image);
  const chooser = new Chooser(seed);
  let different = 0;
  for (let done = 0; done < count; done += 20_000) {
    const found = compareSequences(emulated, image, chooser, Math.min(20_000, count - done));
    for (const report of found.slice(0, show)) console.log(report);
    different += found.length;
  }
  console.log(`${count} sequences, ${different} different`);
  return different;
}

function runInstances(): number {
  const pattern = new RegExp(values.only);
  const { vectors } = values;
  const forms = formsOf(
    (entry) => usesVectors(entry) === vectors && comparesVectors(entry) && pattern.test(entry.text),
  );
  const result = compareWithHost(forms, seed, count, vectors ? randomVectors : undefined);
  for (const [row, found] of result.different) {
    console.log(`${found.count} × ${row}`);
    for (const report of found.reports.slice(0, show)) console.log(report);
  }
  console.log(
    `${result.instances} instances of ${forms.length} forms, ${result.completed} completed, ${result.differences} different in ${result.different.size} rows`,
  );
  return result.differences;
}

if ((values.sequences ? runSequences() : runInstances()) > 0) process.exitCode = 1;
