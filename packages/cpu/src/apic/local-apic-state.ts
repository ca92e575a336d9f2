import { cpuError } from "../errors.ts";

/** A saved local APIC. */
export interface LocalApicState {
  readonly version: 1;
  readonly enabled: boolean;
  readonly x2apic: boolean;
  readonly registers: Readonly<Record<string, number>>;
  readonly request: readonly number[];
  readonly service: readonly number[];
  readonly triggerMode: readonly number[];
  readonly timerStartNs: number;
  readonly tscDeadline: bigint;
  readonly lint0: boolean;
  /** Errors since the error status register was last written. */
  readonly errors: number;
}

const MOST_TICKS = 2 ** 40;

/** @throws QZ_CPU_STATE for what no local APIC can have saved. */
export function checkLocalApicState(state: LocalApicState): void {
  const fail = (reason: string): Error =>
    cpuError("QZ_CPU_STATE", { reason: `local APIC ${reason}` });
  if (state.version !== 1) throw fail(`version ${String(state.version)}`);
  const word = (value: unknown): boolean => typeof value === "number" && value === value >>> 0;
  const known = Object.entries(state.registers).every(
    ([offset, value]) =>
      word(Number(offset)) && typeof value === "number" && Math.abs(value) < MOST_TICKS,
  );
  const sets = [state.request, state.service, state.triggerMode];
  const flags = [state.enabled, state.x2apic, state.lint0];
  const possible =
    known &&
    sets.every((set) => Array.isArray(set) && set.length === 8 && set.every(word)) &&
    flags.every((flag) => typeof flag === "boolean") &&
    Number.isFinite(state.timerStartNs) &&
    typeof state.tscDeadline === "bigint" &&
    word(state.errors);
  if (!possible) throw fail("state is impossible");
}
