import type { AddressRange } from "./resources.ts";

/**
 * Where the parts of the machine are, as far as ACPI tells the guest. The chipset's table of its own addresses
 * has this shape, so that both always agree.
 */
export interface AcpiPlatform {
  readonly uarts: readonly { readonly port: number; readonly irq: number }[];
  readonly rtc: { readonly port: number; readonly irq: number; readonly centuryRegister: number };
  readonly keyboard: { readonly dataPort: number; readonly commandPort: number };
  /** The fixed hardware; ports and lengths in bytes. */
  readonly acpi: {
    readonly sciIrq: number;
    readonly pm1EventPort: number;
    readonly pm1EventLength: number;
    readonly pm1ControlPort: number;
    readonly pm1ControlLength: number;
    readonly pmTimerPort: number;
    readonly pmTimerLength: number;
    readonly resetPort: number;
    readonly resetValue: number;
    /** SLP_TYP of S5. */
    readonly s5SleepType: number;
  };
  readonly ioApic: { readonly address: number; readonly gsiBase: number; readonly id: number };
  readonly localApic: { readonly address: number };
  /** ISA interrupts whose pin or trigger differs from the ISA default. */
  readonly overrides: readonly {
    readonly irq: number;
    readonly gsi: number;
    readonly trigger: "edge" | "level";
    readonly polarity: "high" | "low";
  }[];
  /** The PCI host bridge. */
  readonly pci: {
    readonly configPort: number;
    readonly configLength: number;
    readonly ecam: AddressRange & { readonly firstBus: number; readonly lastBus: number };
    readonly window32: AddressRange;
    readonly window64: AddressRange;
    readonly ioWindow: AddressRange;
    /**
     * Pin p (0 is INTA#) of device d drives entry (d + p) mod their number: `gsi` with the IOAPIC, `irq` with the
     * 8259s.
     */
    readonly pirqs: readonly { readonly gsi: number; readonly irq: number }[];
  };
  readonly panic: { readonly port: number };
}
