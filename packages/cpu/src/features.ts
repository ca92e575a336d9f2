/** What the processor says of itself; a machine may choose some of it. */
export interface ProcessorFeatures {
  /** Frequency of the time-stamp counter, in kHz (CPUID 0x15 and 0x40000010). */
  readonly tscKhz: number;
  /** Frequency of the local APIC timer's clock, in Hz. */
  readonly apicHz: number;
  /** Number of processors of the machine, for the topology leaves. */
  readonly processors: number;
  /** Offer the KVM paravirtual leaves (kvmclock). */
  readonly kvmClock: boolean;
  /** The name in CPUID 0x80000002…4, at most 47 characters. */
  readonly brand: string;
}

/** A 1 GHz clock keeps guest time and the time-stamp counter the same number. */
export const defaultFeatures: ProcessorFeatures = {
  tscKhz: 1_000_000,
  apicHz: 100_000_000,
  processors: 1,
  kvmClock: true,
  brand: "Queztl x86-64-v2 Processor",
};
