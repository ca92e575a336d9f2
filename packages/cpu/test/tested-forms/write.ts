/** Writes docs/cpu-coverage.md: `node --conditions=@queztl/source packages/cpu/test/tested-forms/write.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { coverage, coverageDocument, isEmpty } from "./tested-forms.ts";

writeFileSync(join(import.meta.dirname, "../../../../docs/cpu-coverage.md"), coverageDocument());
const empty = coverage().filter(isEmpty);
if (empty.length > 0) {
  console.log(`not tested: ${empty.map(({ entry }) => entry.text).join("; ")}`);
  process.exitCode = 1;
}
