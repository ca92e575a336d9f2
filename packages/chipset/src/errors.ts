import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const chipsetErrors = {
  QZ_CHIPSET_STATE: {
    status: "invalid",
    message: "the saved state of {chip} cannot be restored: {reason}",
  },
  QZ_CHIPSET_PIN: {
    status: "invalid",
    message: "{chip} has no interrupt input {pin}: choose one from 0 to {last}",
  },
  QZ_CHIPSET_PCI_SLOT: {
    status: "conflict",
    message: "{name} cannot be plugged into PCI slot {slot}: {reason}",
  },
  QZ_CHIPSET_PCI_LAYOUT: {
    status: "invalid",
    message: "the configuration space of {name} is not possible: {reason}",
  },
} as const satisfies ErrorCatalogue;

export const chipsetError = defineErrors(chipsetErrors);
