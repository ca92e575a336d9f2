import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const memoryErrors = {
  QZ_MEMORY_SIZE: {
    status: "invalid",
    message:
      "{bytes} bytes of guest memory are not possible: give a multiple of 4096 between {least} and {most}",
  },
  QZ_MEMORY_UNAVAILABLE: {
    status: "exhausted",
    message:
      "the host cannot reserve {bytes} bytes of address space for the guest: choose a smaller guest",
  },
  QZ_MEMORY_NARROW: {
    status: "unavailable",
    message:
      "{bytes} bytes of guest memory need 64-bit WebAssembly memories, which this host lacks: take at most {most}, or Node.js 24",
  },
  QZ_MEMORY_OUT_OF_RANGE: {
    status: "guest",
    message: "{length} bytes at guest-physical {address} are not wholly inside guest RAM",
  },
  QZ_MEMORY_ARENA_FULL: {
    status: "exhausted",
    message:
      "{bytes} more bytes do not fit the host-private part of guest memory: raise arenaBytes",
  },
  QZ_MEMORY_OVERLAP: {
    status: "conflict",
    message: "{name} at {base} (+{length}) overlaps {other}: claim a free range",
  },
  QZ_MEMORY_MISALIGNED: {
    status: "invalid",
    message:
      "{name} at {base} (+{length}) is not a range of {unit}: align base and length and keep them inside {limit}",
  },
  QZ_MEMORY_SNAPSHOT: {
    status: "invalid",
    message: "this is not a snapshot of a memory of this shape: {reason}",
  },
  QZ_MEMORY_SNAPSHOT_FILE: {
    status: "unavailable",
    message: "the snapshot file {path} cannot be used: {reason}",
  },
  QZ_MEMORY_STATE: {
    status: "invalid",
    message: "the saved state of {what} cannot be restored: {reason}",
  },
} as const satisfies ErrorCatalogue;

export const memoryError = defineErrors(memoryErrors);
