import { Bus } from "@queztl/memory";
import type { AccessSize } from "@queztl/memory";

/** A bus that counts the guest's accesses. */
export class CountedBus extends Bus {
  reads = 0;
  writes = 0;

  override read(address: number, size: AccessSize): number {
    this.reads++;
    return super.read(address, size);
  }

  override write(address: number, size: AccessSize, value: number): void {
    this.writes++;
    super.write(address, size, value);
  }
}
