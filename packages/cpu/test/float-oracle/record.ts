/** Records this host's answers for hosts that cannot give them: `node packages/cpu/test/float-oracle/record.ts`. */
import { record } from "./host-oracle.ts";
import { SSE_GROUPS } from "./sse-groups.ts";
import { X87_GROUPS } from "./x87-groups.ts";

record([...SSE_GROUPS, ...X87_GROUPS]);
