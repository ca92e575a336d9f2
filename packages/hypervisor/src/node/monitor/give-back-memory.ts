import { returnFreeMemory } from "@queztl/memory/node";
import { collectGarbage } from "../collect-garbage.ts";

/** How often a monitor looks whether it came to rest. */
const LOOK_MS = 10_000;
/** At rest it uses less than this share of a processor. */
const REST_SHARE = 0.05;
/** After so much work there may be something to give back, in microseconds. */
const WORK_US = 300_000;

/**
 * Gives memory that this process does not use back to the host: garbage, and what compiling left free in the
 * allocator, some 50 MiB after the start. It takes some 100 ms.
 */
export async function giveBackMemory(): Promise<void> {
  collectGarbage();
  await returnFreeMemory();
}

/** Has this process give memory back whenever it has come to rest after some work, as long as it lives. */
export function giveBackAtRest(): void {
  let given = used();
  let before = given;
  setInterval(() => {
    const now = used();
    const rests = now - before < LOOK_MS * 1000 * REST_SHARE;
    before = now;
    if (!rests || now - given < WORK_US) return;
    void giveBackMemory().finally(() => (given = before = used()));
  }, LOOK_MS).unref();
}

/** Processor time of this process, in microseconds. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
