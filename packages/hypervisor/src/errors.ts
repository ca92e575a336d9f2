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
    message: "the machine is {state}: {operation} needs it {wanted}",
  },
  QZ_HYPERVISOR_UNSUPPORTED: {
    status: "unavailable",
    message: "{what} is not there yet: {instead}",
  },
} as const satisfies ErrorCatalogue;

export const hypervisorError = defineErrors(hypervisorErrors);
