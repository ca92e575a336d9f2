export { disk, network, readKernelFiles } from "./host-files.ts";
export type { DiskArgument, NetworkArgument } from "./command-line.ts";
export { restoreMachine, saveMachine } from "./snapshot-folder.ts";
