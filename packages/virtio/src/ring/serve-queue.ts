import type { DriverSession } from "../device.ts";
import type { DescriptorChain } from "./descriptor-chain.ts";
import type { SplitQueue } from "./split-queue.ts";

/**
 * Serves what a queue holds: `serve` completes a chain, or returns false when the device cannot take it now
 * (it is put back, and serving stops until the device calls again). At most a queue's worth is served at
 * once and the rest after other host events, so that a guest that refills the ring cannot hold the monitor.
 */
export function serveQueue(
  session: DriverSession,
  index: number,
  serve: (chain: DescriptorChain, queue: SplitQueue) => boolean,
): void {
  const queue = session.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.size; served++) {
    const chain = queue.pop();
    if (chain === undefined || !session.alive) {
      queue.publish();
      return;
    }
    if (!serve(chain, queue)) {
      queue.putBack(chain);
      queue.publish();
      return;
    }
  }
  queue.publish();
  session.later(() => serveQueue(session, index, serve));
}
