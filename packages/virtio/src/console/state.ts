import { checkState, isWhole } from "../state.ts";
import type { TerminalSize } from "./config.ts";

/** The saved state of one port. */
export interface ConsolePortState {
  readonly guestReady: boolean;
  readonly guestOpen: boolean;
  readonly hostOpen: boolean;
  /** What the host wrote and the guest has not taken. */
  readonly input: Uint8Array;
}

/** The saved state of a console. */
export interface ConsoleState {
  readonly version: 1;
  readonly size: TerminalSize;
  readonly ports: readonly ConsolePortState[];
  /** Control messages that wait for a buffer of the guest. */
  readonly control: readonly Uint8Array[];
}

/** @throws QZ_VIRTIO_STATE when a state is not one of a console with so many ports. */
export function checkConsoleState(state: ConsoleState, ports: number): void {
  const check = checkState("console", state, 1);
  check(isWhole(state.size?.columns, 0xffff) && isWhole(state.size.rows, 0xffff), "its size");
  check(Array.isArray(state.ports) && state.ports.length === ports, "the number of ports differs");
  check(state.ports.every(isPortState), "its ports");
  check(
    Array.isArray(state.control) && state.control.every((m) => m instanceof Uint8Array),
    "its control messages are no bytes",
  );
}

function isPortState(port: ConsolePortState): boolean {
  return (
    typeof port === "object" &&
    port !== null &&
    [port.guestReady, port.guestOpen, port.hostOpen].every((flag) => typeof flag === "boolean") &&
    port.input instanceof Uint8Array
  );
}
