export { disk, network, readKernelFiles } from "./host-files.ts";
export type { DiskArgument, NetworkArgument } from "./command-line.ts";
export { restoreMachine, saveMachine } from "./snapshot-folder.ts";
export { copyFromGuest, copyIntoGuest } from "./agent-files.ts";
export type { CopyOutResult } from "./agent-files.ts";
export { socketChannel } from "./socket-channel.ts";
