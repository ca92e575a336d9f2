import type { LostConnection } from "./link.ts";
import { checkState, isWhole } from "../state.ts";

/** The saved state of a network device. Frames on their way are lost, as on a link. */
export interface NetState {
  readonly version: 1;
  readonly linkUp: boolean;
  readonly filter: {
    readonly mac: number;
    readonly promiscuous: boolean;
    readonly allMulticast: boolean;
    readonly table: readonly number[];
  };
  /** The offloads the driver turned on after the negotiation; undefined while it did not ask. */
  readonly guestOffloads: bigint | undefined;
  /** Connections that end with the network: the guest is told when it goes on. */
  readonly connections?: readonly LostConnection[];
}

/** The most addresses a driver may list; with more it gets every frame. */
export const MAX_FILTER = 64;
/** The most connections a state may list. */
export const MAX_CONNECTIONS = 4096;

/** @throws QZ_VIRTIO_STATE */
export function checkNetState(state: NetState): void {
  const check = checkState("network device", state, 1);
  const mac = (value: unknown): boolean => isWhole(value, 2 ** 48 - 1);
  check(typeof state.filter === "object" && state.filter !== null, "it has no filter");
  const { promiscuous, allMulticast } = state.filter;
  const flags = [state.linkUp, promiscuous, allMulticast];
  check(mac(state.filter.mac), "its MAC address");
  check(
    flags.every((flag) => typeof flag === "boolean"),
    "its flags",
  );
  const { table } = state.filter;
  check(Array.isArray(table) && table.length <= MAX_FILTER && table.every(mac), "its filter");
  const offloads = state.guestOffloads;
  check(offloads === undefined || typeof offloads === "bigint", "its offloads");
  const { connections = [] } = state;
  const listed = Array.isArray(connections) && connections.length <= MAX_CONNECTIONS;
  check(listed && connections.every(isConnection), "its connections");
}

function isConnection(one: LostConnection): boolean {
  if (typeof one !== "object" || one === null) return false;
  const ports = [one.guestPort, one.remotePort].every((port) => isWhole(port, 0xffff));
  const words = [one.guest, one.remote, one.sequence].every((word) => isWhole(word, 0xffff_ffff));
  return ports && words && isWhole(one.mac, 2 ** 48 - 1);
}
