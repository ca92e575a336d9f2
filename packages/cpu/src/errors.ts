import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const cpuErrors = {
  QZ_CPU_OPTIONS: {
    status: "invalid",
    message: "{option} of {value} is not possible: {expected}",
  },
  QZ_CPU_STATE: {
    status: "invalid",
    message: "this is not a saved state of this processor: {reason}",
  },
} as const satisfies ErrorCatalogue;

export const cpuError = defineErrors(cpuErrors);
