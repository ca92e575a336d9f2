export { HostMemory, returnFreeMemory } from "./node/host-memory.ts";
export {
  inspectSnapshotFile,
  restoreSnapshotFile,
  writeSnapshotFile,
} from "./node/snapshot-file.ts";
export type { RestoredMemory, SnapshotFileOptions } from "./node/snapshot-file.ts";
