/**
 * Compares random instances with the processor that runs this:
 * `node --conditions=@queztl/source packages/cpu/test/oracle/run.ts --count 2000000 [--seed 1] [--only 'regexp of opcode rows'] [--show 3] [--vectors]`
 */
import { parseArgs } from "node:util";
import { compareWithHost } from "./campaign.ts";
import { formsOf, usesVectors } from "./forms.ts";
import { comparesVectors, randomVectors } from "./vectors.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "200000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    show: { type: "string", default: "2" },
    vectors: { type: "boolean", default: false },
  },
});
const pattern = new RegExp(values.only);
const { vectors } = values;
const forms = formsOf(
  (entry) => usesVectors(entry) === vectors && comparesVectors(entry) && pattern.test(entry.text),
);
const result = compareWithHost(
  forms,
  Number(values.seed),
  Number(values.count),
  vectors ? randomVectors : undefined,
);
for (const [row, found] of result.different) {
  console.log(`${found.count} × ${row}`);
  for (const report of found.reports.slice(0, Number(values.show))) console.log(report);
}
console.log(
  `${result.instances} instances of ${forms.length} forms, ${result.completed} completed, ${result.differences} different in ${result.different.size} rows`,
);
if (result.differences > 0) process.exitCode = 1;
