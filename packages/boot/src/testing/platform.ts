import type { AcpiPlatform } from "../acpi/platform.ts";

/** A PC as the tests describe it to ACPI. */
export const testPlatform: AcpiPlatform = {
  uarts: [
    { port: 0x3f8, irq: 4 },
    { port: 0x2f8, irq: 3 },
  ],
  rtc: { port: 0x70, irq: 8, centuryRegister: 0x32 },
  keyboard: { dataPort: 0x60, commandPort: 0x64 },
  acpi: {
    sciIrq: 9,
    pm1EventPort: 0x600,
    pm1EventLength: 4,
    pm1ControlPort: 0x604,
    pm1ControlLength: 2,
    pmTimerPort: 0x608,
    pmTimerLength: 4,
    resetPort: 0xcf9,
    resetValue: 6,
    s5SleepType: 5,
  },
  ioApic: { address: 0xfec0_0000, gsiBase: 0, id: 0 },
  localApic: { address: 0xfee0_0000 },
  overrides: [
    { irq: 0, gsi: 2, trigger: "edge", polarity: "high" },
    { irq: 9, gsi: 9, trigger: "level", polarity: "high" },
  ],
  pci: {
    configPort: 0xcf8,
    configLength: 8,
    ecam: { address: 0xe000_0000, length: 0x10_0000, firstBus: 0, lastBus: 0 },
    window32: { address: 0xc000_0000, length: 0x2000_0000 },
    window64: { address: 0x40_0000_0000, length: 0x20_0000_0000 },
    ioWindow: { address: 0xc000, length: 0x4000 },
    pirqs: [
      { gsi: 16, irq: 10 },
      { gsi: 17, irq: 11 },
      { gsi: 18, irq: 10 },
      { gsi: 19, irq: 11 },
    ],
  },
  panic: { port: 0x505 },
};
