import { checkState } from "../state.ts";

/** The saved state of a block device; the requests in flight are in its queues. */
export interface BlockState {
  readonly version: 1;
  /** Bytes; the disk it is restored with must be as large. */
  readonly capacity: number;
  readonly writeback: boolean;
}

/** @throws QZ_VIRTIO_STATE when a state is not one of a disk of this capacity. */
export function checkBlockState(state: BlockState, capacity: number): void {
  const check = checkState("block device", state, 1);
  check(
    state.capacity === capacity,
    `its disk had ${String(state.capacity)} bytes, this one has ${capacity}`,
  );
  check(typeof state.writeback === "boolean", "its write cache");
}
