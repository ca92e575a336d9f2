export { NodeFile } from "./host-file.ts";
export type { NodeFileOptions } from "./host-file.ts";
export { connectStream, listenStreams } from "./byte-stream.ts";
export { nodeSockets } from "./host-sockets.ts";
export { nodeInflate } from "./inflate.ts";
