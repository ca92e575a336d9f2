import type { BusHandler } from "@queztl/memory";

/**
 * The `isa-debug-exit` device: a guest that writes `value` ends the run with the exit status
 * `(value << 1) | 1`. The status is not cut to a byte.
 */
export function debugExit(onExit: (status: number) => void): BusHandler {
  return {
    read: () => 0,
    write: (_offset, _size, value) => onExit(value * 2 + 1),
  };
}

/** The debug console of Bochs and QEMU (port 0xE9): bytes written are output; reading 0xE9 tells that it is there. */
export function debugConsole(output: (bytes: Uint8Array) => void): BusHandler {
  return {
    read: (_offset, size) => (size === 1 ? 0xe9 : 0xffffffff),
    write: (_offset, size, value) => {
      const bytes = new Uint8Array(size);
      for (let i = 0; i < size; i++) bytes[i] = value >>> (8 * i);
      output(bytes);
    },
  };
}

/** What a guest kernel reports through `pvpanic`: that it panicked, or that it goes on into a crash kernel. */
export type PanicEvent = "panicked" | "crash-loaded";

/** The `pvpanic` ISA device: a guest kernel tells that it crashed. */
export function panicDevice(onPanic: (event: PanicEvent) => void): BusHandler {
  return {
    read: () => 3,
    write: (_offset, _size, value) => {
      if (value & 1) onPanic("panicked");
      else if (value & 2) onPanic("crash-loaded");
    },
  };
}
