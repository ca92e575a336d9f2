import { virtioError } from "./errors.ts";

/** Fails with QZ_VIRTIO_STATE unless `condition` holds. */
export type StateCheck = (condition: boolean, reason: string) => void;

/** Checks for the saved state of one device; begins with its version. @throws QZ_VIRTIO_STATE */
export function checkState(
  device: string,
  state: { readonly version: number },
  version: number,
): StateCheck {
  const check: StateCheck = (condition, reason) => {
    if (!condition) throw virtioError("QZ_VIRTIO_STATE", { device, reason });
  };
  check(typeof state === "object" && state !== null, "it is no object");
  check(state.version === version, `version ${String(state.version)} is not known`);
  return check;
}

/** Whether a saved value is an integer from 0 to `most`. */
export function isWhole(value: unknown, most: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
}
