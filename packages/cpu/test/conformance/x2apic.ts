import { le } from "./world.ts";
import type { World } from "./world.ts";

/** The local APIC in x2APIC mode, enabled by its spurious-interrupt register. */
export const X2APIC = { 0x1b: 0xfee00d00n, 0x80f: 0x1ffn };

/** wrmsr(index, value). */
export const wrmsr = (index: number, value: bigint | number): string => {
  const wide = BigInt.asUintN(64, BigInt(value));
  return `b9${le(index, 4)} b8${le(wide & 0xffffffffn, 4)} ba${le(wide >> 32n, 4)} 0f30`;
};

/** Sends this processor a fixed interrupt (x2APIC SELF IPI). */
export const selfIpi = (vector: number): string => wrmsr(0x83f, vector);
/** Starts in x2APIC mode. */
export const apic = (world: World): void => void (world.state.msrs = X2APIC);
