import { checkState, isWhole } from "../state.ts";

/** The saved state of a balloon. */
export interface BalloonState {
  readonly version: 1;
  /** Pages of 4096 bytes: wanted by the host, given by the guest. */
  readonly pages: number;
  readonly actual: number;
}

/** @throws QZ_VIRTIO_STATE */
export function checkBalloonState(state: BalloonState): void {
  const check = checkState("balloon", state, 1);
  check(isWhole(state.pages, 0xffff_ffff) && isWhole(state.actual, 0xffff_ffff), "its pages");
}
