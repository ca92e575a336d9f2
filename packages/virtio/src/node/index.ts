export { NodeFile } from "./host-file.ts";
export type { NodeFileOptions } from "./host-file.ts";
