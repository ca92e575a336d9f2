import { ConfigSpace } from "../device.ts";
import type { DriverSession, VirtioDevice } from "../device.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import type { SplitQueue } from "../ring/split-queue.ts";

/** The smallest device there is: it copies what it reads into what it may write. For transport tests. */
export class EchoDevice implements VirtioDevice<{ readonly version: 1 }> {
  readonly type = 42;
  readonly name = "echo";
  readonly features = 0b101n;
  readonly queueSizes = [64, 16];
  readonly config = new ConfigSpace(8, (offset, bytes) => this.config.bytes.set(bytes, offset));
  readonly counters = { requests: 0 };
  /** While false, requests are taken and kept. */
  answers = true;
  held: { readonly queue: SplitQueue; readonly chain: DescriptorChain } | undefined;
  stops = 0;
  #session: DriverSession | undefined;

  acceptsFeatures(features: bigint): boolean {
    return (features & 0b100n) === 0n || (features & 1n) !== 0n;
  }

  start(session: DriverSession): void {
    this.#session = session;
  }

  notify(index: number): void {
    const queue = this.#session?.queue(index);
    if (queue === undefined) return;
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      if (!this.answers) {
        this.held = { queue, chain };
        continue;
      }
      this.counters.requests++;
      const length = Math.min(chain.readableBytes, chain.writableBytes);
      for (let at = 0; at < length; at += 65536) {
        const part = Math.min(65536, length - at);
        chain.write(at, chain.readBytes(at, part));
      }
      queue.complete(chain, length);
    }
    queue.publish();
  }

  stop(): void {
    this.stops++;
    this.#session = undefined;
  }

  save(): { readonly version: 1 } {
    return { version: 1 };
  }

  restore(): void {}
}
