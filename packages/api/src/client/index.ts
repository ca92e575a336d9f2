/**
 * What a client needs and nothing else: `@queztl/api/client` loads no schema, so that a command line
 * starts at once and a page stays small.
 */
export { consoleAddress } from "../console/connect.ts";
export type { ConsoleAddress } from "../console/connect.ts";
export {
  CONSOLE_PROTOCOL,
  consoleDataFrames,
  decodeConsoleFrame,
  encodeConsoleFrame,
  LARGEST_FRAME,
} from "../console/frames.ts";
export type { ConsoleFrame } from "../console/frames.ts";
export { LARGEST_CHUNK, LARGEST_PAGE } from "../limits.ts";
export { createQueztlClient } from "./client.ts";
export type { QueztlClient, QueztlClientOptions } from "./client.ts";
export { followEvents } from "./follow-events.ts";
export type { ApiEvent, FollowEventsOptions } from "./follow-events.ts";
export type { Fetch } from "./http.ts";
