import { z } from "zod";
import { id, text, time } from "./text.ts";

/** Where a line of a log comes from. */
export const LOG_STREAMS = ["console", "stdout", "stderr", "system"] as const;

/** A piece of a log. */
export const logChunk = z
  .object({
    id: id.describe("Its place in the log; resume after it"),
    at: time.describe("When it was written"),
    stream: z
      .enum(LOG_STREAMS)
      .describe("The guest's console, a program's output or errors, or Queztl's own words"),
    text: text(65_536).describe(
      "As the guest wrote it, control characters and all: make it printable before showing it",
    ),
  })
  .meta({ id: "LogChunk", description: "A piece of a log" });

/** What reading a log takes. */
export const logInput = {
  streams: z
    .array(z.enum(LOG_STREAMS))
    .min(1)
    .max(LOG_STREAMS.length)
    .optional()
    .describe("Only these streams; all unless given"),
  tail: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe("Begin this many pieces before the end; at the beginning unless given"),
};
