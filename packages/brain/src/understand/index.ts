export { createUnderstander, understand } from "./understand.ts";
export type { Analysis, TaskDescription, Understander, UnderstandState } from "./understand.ts";
export type { TaskFile } from "./task-shape.ts";
