/** Writes the answers of the processor that runs this: `node --conditions=@queztl/source packages/cpu/test/oracle/record.ts`. */
import { record } from "./recorded.ts";

console.log(`${record()} bytes`);
