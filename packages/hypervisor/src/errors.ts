import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const hypervisorErrors = {
  QZ_HYPERVISOR_OPTIONS: {
    status: "invalid",
    message: "{option} of {value} is not possible: {expected}",
  },
  QZ_HYPERVISOR_STATE: {
    status: "conflict",
    message: "the machine is {state}: {operation} needs one that is {wanted}",
  },
  QZ_HYPERVISOR_SNAPSHOT: {
    status: "invalid",
    message: "this is not a snapshot that this machine can go on from: {reason}",
  },
  QZ_HYPERVISOR_SNAPSHOT_FILE: {
    status: "unavailable",
    message: "the snapshot {path} cannot be used: {reason}",
  },
  QZ_HYPERVISOR_FILE: {
    status: "not-found",
    message: "{what} {path} cannot be read ({reason}): check the path and its permissions",
  },
  QZ_HYPERVISOR_UNSUPPORTED: {
    status: "unavailable",
    message: "{what} is not there: {instead}",
  },
  QZ_HYPERVISOR_CRASHED: {
    status: "internal",
    message:
      "the machine crashed inside the monitor: {reason}; this is a defect of Queztl, please report it",
  },
  QZ_HYPERVISOR_USAGE: {
    status: "invalid",
    message: "{problem}; see queztl-vm run --help",
  },
} as const satisfies ErrorCatalogue;

export const hypervisorError = defineErrors(hypervisorErrors);
