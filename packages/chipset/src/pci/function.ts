import type { BusHandler, InterruptLine } from "@queztl/memory";

/** How a PCI function raises interrupts; the host gives it to `connect`. After an unplug it does nothing. */
export interface PciInterrupts {
  /** Whether the driver turned MSI-X on. */
  readonly msixEnabled: boolean;
  /** Whether the driver turned MSI on. */
  readonly msiEnabled: boolean;
  /** Sends the message of an MSI-X or MSI vector, or marks it pending while it is masked; drops it when both are off. */
  notify(vector: number): void;
  /** The INTx pin; not driven while the driver uses messages or disabled it. */
  readonly line: InterruptLine;
}

/** A capability of a PCI function, after its two header bytes (id and next), which the host writes. */
export interface PciCapabilityDescription {
  readonly id: number;
  /** At most 190 bytes; read-only for the guest unless `access` is given. */
  readonly body: Uint8Array;
  /** When given, accesses to the body go here instead of to the bytes; `offset` counts from the body's start. */
  readonly access?: BusHandler;
}

/** A base address register and what it maps. A 64-bit one takes the next index too. */
export interface PciBarDescription {
  /** 0 to 5. */
  readonly index: number;
  /** A power of two: at least 16 for memory, 4 to 256 for I/O. */
  readonly bytes: number;
  /** Default `memory32`. */
  readonly kind?: "memory32" | "memory64" | "io";
  readonly prefetchable?: boolean;
  readonly handler: BusHandler;
}

/** A PCI function as data: the host owns its config space, BARs, MSI-X table and masking. */
export interface PciFunctionDescription {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** 24 bits: class, subclass, programming interface. */
  readonly classCode: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly bars: readonly PciBarDescription[];
  readonly capabilities: readonly PciCapabilityDescription[];
  /** 0 for no MSI-X, at most 2048. Its table and pending bits get a BAR of their own, the first free one. */
  readonly msixVectors: number;
  /** 0 (the default) for no MSI, or a power of two up to 32. */
  readonly msiVectors?: number;
  /** 1 (the default) for INTA# to 4 for INTD#, 0 for none. */
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4;
  connect(interrupts: PciInterrupts): void;
  /** The bus is reset: the function goes back to its power-on state. */
  reset?(): void;
}
