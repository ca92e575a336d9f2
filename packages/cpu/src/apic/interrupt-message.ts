/** What an interrupt message asks a local APIC to do (Intel SDM vol. 3, 11.6.1). */
export const DeliveryMode = {
  Fixed: 0,
  LowestPriority: 1,
  Smi: 2,
  Nmi: 4,
  Init: 5,
  Startup: 6,
  External: 7,
} as const;

/** One message to the local APICs: from the IOAPIC, an MSI write or another processor. */
export interface ApicMessage {
  readonly vector: number;
  readonly deliveryMode: number;
  /** An APIC id, or a logical destination; 32 bits in x2APIC mode. */
  readonly destination: number;
  readonly destinationMode: "physical" | "logical";
  readonly level: boolean;
  readonly trigger: "edge" | "level";
}
