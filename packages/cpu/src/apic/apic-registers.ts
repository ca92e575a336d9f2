/** Register offsets in the xAPIC page; x2APIC MSRs are 0x800 + offset / 16 (Intel SDM vol. 3, 11.4.1 and 11.12.1). */
export const Register = {
  Id: 0x20,
  Version: 0x30,
  TaskPriority: 0x80,
  ProcessorPriority: 0xa0,
  Eoi: 0xb0,
  LogicalDestination: 0xd0,
  DestinationFormat: 0xe0,
  Spurious: 0xf0,
  InService: 0x100,
  TriggerMode: 0x180,
  Request: 0x200,
  ErrorStatus: 0x280,
  CommandLow: 0x300,
  CommandHigh: 0x310,
  LvtTimer: 0x320,
  LvtThermal: 0x330,
  LvtPerformance: 0x340,
  LvtLint0: 0x350,
  LvtLint1: 0x360,
  LvtError: 0x370,
  InitialCount: 0x380,
  CurrentCount: 0x390,
  Divide: 0x3e0,
  SelfIpi: 0x3f0,
} as const;

/** In an entry of the local vector table. */
export const MASKED = 0x10000;
/** Writable bits of each local vector table entry. */
export const LVT_MASKS: Readonly<Record<number, number>> = {
  [Register.LvtTimer]: 0x700ff,
  [Register.LvtThermal]: 0x107ff,
  [Register.LvtPerformance]: 0x107ff,
  [Register.LvtLint0]: 0x1a7ff,
  [Register.LvtLint1]: 0x1a7ff,
  [Register.LvtError]: 0x100ff,
};

/** The registers that hold what was written to them. */
export class ApicRegisters {
  #values = new Map<number, number>();

  /** As after power-up and INIT. */
  reset(): void {
    this.#values = new Map<number, number>([
      [Register.DestinationFormat, 0xffffffff],
      [Register.Spurious, 0xff],
    ]);
    for (const lvt of Object.keys(LVT_MASKS)) this.#values.set(Number(lvt), MASKED);
  }

  get(offset: number): number {
    return this.#values.get(offset) ?? 0;
  }

  set(offset: number, value: number): void {
    this.#values.set(offset, value);
  }

  save(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#values);
  }

  restore(saved: Readonly<Record<string, number>>): void {
    this.#values = new Map(Object.entries(saved).map(([offset, value]) => [Number(offset), value]));
  }
}
