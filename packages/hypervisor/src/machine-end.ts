import type { QueztlError } from "@queztl/errors";

/** Where a machine is in its life: created → running ⇄ paused → stopped or crashed. */
export type MachineState = "created" | "running" | "paused" | "stopped" | "crashed";

/** How a machine came to its end. `triple-fault` and `failure` are crashes. */
export type MachineEnd =
  /** the guest turned it off */
  | { readonly reason: "power-off" }
  /** the guest reset it, and `onGuestReset` is "end" */
  | { readonly reason: "reset" }
  /** the guest wrote to the debug-exit port; `status` is `(value << 1) | 1` */
  | { readonly reason: "debug-exit"; readonly status: number }
  /** `stop` was called */
  | { readonly reason: "stopped" }
  /** a processor met a fault it could not deliver */
  | { readonly reason: "triple-fault" }
  /** a defect of the monitor */
  | { readonly reason: "failure"; readonly error: QueztlError };
