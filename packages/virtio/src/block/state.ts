import { virtioError } from "../errors.ts";

/** The saved state of a block device; the requests in flight are in its queues. */
export interface BlockState {
  readonly version: 1;
  /** Bytes; the disk it is restored with must be as large. */
  readonly capacity: number;
  readonly writeback: boolean;
}

/** @throws QZ_VIRTIO_STATE when a state is not one of a disk of this capacity. */
export function checkBlockState(state: BlockState, capacity: number): void {
  const misfit = (reason: string): Error =>
    virtioError("QZ_VIRTIO_STATE", { device: "block device", reason });
  if (state.version !== 1) throw misfit(`version ${String(state.version)} is not known`);
  if (state.capacity !== capacity)
    throw misfit(`its disk had ${state.capacity} bytes, this one has ${capacity}`);
}
