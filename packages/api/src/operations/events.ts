import { eventOutput, eventsInput } from "../schemas/events.ts";
import { subscription } from "./operation.ts";

export const eventsOperations = {
  subscribe: subscription({
    scope: "events:read",
    summary: "Follow what happens",
    input: eventsInput,
    output: eventOutput,
    rest: { method: "GET", path: "/v1/events" },
    example: { topics: ["vm", "task"] },
  }),
};
