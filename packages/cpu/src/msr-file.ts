import { State } from "./state/layout.ts";

/** Model-specific registers that are plain storage; the others are computed where they are read. */
export interface MsrFile {
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  fmask: bigint;
  kernelGsBase: bigint;
  sysenterCs: bigint;
  sysenterEsp: bigint;
  sysenterEip: bigint;
  tscAux: bigint;
  /** What software added to the time-stamp counter, and the part of it that IA32_TSC_ADJUST shows. */
  tscOffset: bigint;
  tscAdjust: bigint;
  pat: bigint;
  apicBase: bigint;
  miscEnable: bigint;
  mtrrDefaultType: bigint;
  /** Fixed-range and variable-range MTRRs, by MSR number. */
  readonly mtrr: Map<number, bigint>;
  /** kvmclock: guest-physical addresses with their enable bits. */
  kvmSystemTime: bigint;
  kvmWallClock: bigint;
  /** Speculation control: accepted, without effect. */
  specCtrl: bigint;
  xss: bigint;
}

/** The values after reset (Intel SDM vol. 3, 10.1.1); processor 0 starts the machine. */
export function createMsrFile(id: number): MsrFile {
  return {
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    fmask: 0n,
    kernelGsBase: 0n,
    sysenterCs: 0n,
    sysenterEsp: 0n,
    sysenterEip: 0n,
    tscAux: 0n,
    tscOffset: 0n,
    tscAdjust: 0n,
    pat: 0x0007040600070406n,
    apicBase: 0xfee00800n | (id === 0 ? 0x100n : 0n),
    miscEnable: 1n,
    mtrrDefaultType: 0xc06n,
    mtrr: new Map(),
    kvmSystemTime: 0n,
    kvmWallClock: 0n,
    specCtrl: 0n,
    xss: 0n,
  };
}

const IN_STATE = {
  star: State.Star,
  lstar: State.Lstar,
  fmask: State.Fmask,
  kernelGsBase: State.KernelGsBase,
} as const satisfies Partial<Record<keyof MsrFile, number>>;

/** Keeps the registers that generated code works with in a processor's state. */
export function keepInState(file: MsrFile, view: DataView, state: number): MsrFile {
  for (const [name, offset] of Object.entries(IN_STATE)) {
    Object.defineProperty(file, name, {
      get: () => view.getBigUint64(state + offset, true),
      set(value: bigint) {
        view.setBigUint64(state + offset, value, true);
      },
    });
  }
  return file;
}
