/** Writes the answers of the processor that runs this: `node --conditions=@queztl/source packages/cpu/test/oracle/record.ts`. */
import { INTEGER, VECTOR, record } from "./recorded.ts";

for (const kind of [INTEGER, VECTOR]) console.log(`${kind.file}: ${record(kind)} bytes`);
