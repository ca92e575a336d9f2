/** Records what this host's processor does: `node --conditions=@queztl/source packages/cpu/test/simd-oracle/record.ts`. */
import { askHost } from "./host.ts";
import { recordedInstances, writeRecording } from "./recorded.ts";

const before = recordedInstances();
writeRecording(before, askHost(before));
