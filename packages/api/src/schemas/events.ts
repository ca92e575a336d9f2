import { z } from "zod";
import { entries, id, name, reference, text, time } from "./text.ts";

/** What events are about. `gap`: some were lost to whoever resumes here; look at everything anew. */
export const EVENT_TOPICS = [
  "vm",
  "task",
  "brain",
  "node",
  "image",
  "file",
  "config",
  "token",
  "server",
  "gap",
] as const;

export const eventsInput = z.strictObject({
  topics: z
    .array(z.enum(EVENT_TOPICS))
    .min(1)
    .max(EVENT_TOPICS.length)
    .optional()
    .describe("Only about these; everything unless given. `gap` always comes"),
  subject: reference.optional().describe("Only about the thing with this id"),
  lastEventId: id.optional().describe("Resume after this event; only new ones unless given"),
});

/** Something that happened. */
export const eventOutput = z
  .object({
    id: id.describe("Its id; resume after it"),
    at: time.describe("When it happened"),
    topic: z.enum(EVENT_TOPICS).describe("What it is about"),
    type: z
      .string()
      .max(64)
      .regex(/^[a-z]+(?:\.[a-z-]+)+$/)
      .describe("What happened, such as vm.started or task.succeeded"),
    subject: id.nullable().describe("The id of the thing it happened to"),
    name: name.nullable().describe("The thing's name, if it has one"),
    message: text(2000).describe("What happened, to be read by a person"),
    details: entries(
      z
        .string()
        .max(64)
        .regex(/^[a-z][A-Za-z0-9]*$/),
      z.union([text(1000), z.number(), z.boolean()]),
    ).describe("What happened, to be read by a program"),
  })
  .meta({ id: "Event", description: "Something that happened" });
