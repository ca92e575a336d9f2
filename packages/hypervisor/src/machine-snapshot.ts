import type { BoardState } from "./board.ts";
import { hypervisorError } from "./errors.ts";
import type { MachineShape } from "./machine-options.ts";
import { checkShape } from "./machine-options.ts";

/**
 * Everything of a paused machine but its memory: a plain object of numbers, strings, booleans, bigints and byte
 * arrays. `encodeSnapshot` makes bytes of it.
 */
export interface MachineSnapshot {
  readonly version: 1;
  readonly shape: {
    readonly memoryMib: number;
    readonly cpus: number;
    readonly seed: number | undefined;
    readonly debugExit: boolean;
  };
  readonly board: BoardState;
}

/** The version of snapshots that are made here; those of others are refused. */
export const MACHINE_SNAPSHOT_VERSION = 1;

/** The shape of the machine that a snapshot is of, checked. @throws QZ_HYPERVISOR_SNAPSHOT */
export function shapeOf(snapshot: MachineSnapshot): MachineShape {
  const fail = (reason: string): Error => hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
  const given: unknown = snapshot;
  if (!isRecord(given) || !isRecord(given["shape"]) || !isRecord(given["board"]))
    throw fail("it is no snapshot of a machine");
  if (given["version"] !== MACHINE_SNAPSHOT_VERSION)
    throw fail(
      `its version is ${String(given["version"])}, this is version ${MACHINE_SNAPSHOT_VERSION}`,
    );
  const { time } = snapshot.board;
  const times = isRecord(time) && [time.guestNs, time.idleNs, time.epochMs, time.savedAtMs];
  if (!times || !times.every((n) => Number.isFinite(n) && n >= 0))
    throw fail("its time is missing");
  if (!Array.isArray(snapshot.board.devices)) throw fail("its devices are missing");
  if (!isRecord(snapshot.board.processors) || !Array.isArray(snapshot.board.processors.vcpus))
    throw fail("its processors are missing");
  const { memoryMib, cpus, seed } = snapshot.shape;
  if (typeof memoryMib !== "number" || typeof cpus !== "number") throw fail("its size is missing");
  try {
    return checkShape({ memoryMib, cpus, seed });
  } catch (cause) {
    throw hypervisorError(
      "QZ_HYPERVISOR_SNAPSHOT",
      { reason: "its size is impossible" },
      { cause },
    );
  }
}

/** JSON, with bigints as `{"$n": "hexadecimal"}` and byte arrays as `{"$b": "base64"}`. */
export function encodeSnapshot(snapshot: unknown): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(snapshot, (_key, value: unknown) => {
    if (typeof value === "bigint") return { $n: value.toString(16) };
    if (value instanceof Uint8Array)
      return { $b: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
    return value;
  });
  return new TextEncoder().encode(text);
}

/** The reverse of `encodeSnapshot`. @throws QZ_HYPERVISOR_SNAPSHOT for bytes that are none */
export function decodeSnapshot(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes), (_key, value: unknown) => {
      if (!isRecord(value)) return value;
      if (typeof value["$n"] === "string") return BigInt(`0x${value["$n"]}`);
      if (typeof value["$b"] === "string")
        return Uint8Array.from(atob(value["$b"]), (c) => c.charCodeAt(0));
      return value;
    });
  } catch (cause) {
    const reason = "it is damaged";
    throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason }, { cause });
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
