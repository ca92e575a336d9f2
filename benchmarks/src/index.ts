export { defineBench } from "./bench.ts";
export type { Bench, Case, Needs, Subject } from "./bench.ts";
export { importPeer } from "./peers.ts";
export { command, timed } from "./subjects.ts";
export type { CommandOptions } from "./subjects.ts";
