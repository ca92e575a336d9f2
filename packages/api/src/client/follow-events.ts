import type { z } from "zod";
import type { eventOutput, eventsInput } from "../schemas/events.ts";
import type { QueztlClient } from "./client.ts";

/** Something that happened on the server. */
export type ApiEvent = z.output<typeof eventOutput>;

/** Which events to follow. */
export interface FollowEventsOptions extends z.input<typeof eventsInput> {
  /** Ends the following without an error. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Events as they happen, each once, also over lost connections: the stream resumes after the last event
 * that came. An event of the topic `gap` says that some were lost for good. It ends with `signal` or
 * with the loop; it throws the server's refusal, or `QZ_API_UNREACHABLE` once trying has taken too long.
 * To go on later or elsewhere, keep the last event's `id` and give it as `lastEventId`.
 */
export async function* followEvents(
  client: QueztlClient,
  options: FollowEventsOptions = {},
): AsyncGenerator<ApiEvent, void, undefined> {
  const { signal, ...input } = options;
  const ended = signal ?? new AbortController().signal;
  let last = input.lastEventId;
  try {
    const stream = client.events.subscribe.subscribe(input, { signal: ended });
    for await (const { data } of stream) {
      // A server that resumes a little too early repeats itself.
      if (data.id === last) continue;
      last = data.id;
      yield data;
    }
  } catch (failure) {
    if (!ended.aborted) throw failure;
  }
}
