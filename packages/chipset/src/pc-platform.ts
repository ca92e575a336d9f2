/**
 * Where everything is on the virtual PC: the one table that the board, the ACPI writer and the machine
 * share. Addresses and lengths in bytes; `irq` counts ISA interrupts, `gsi` ACPI's global system interrupts
 * (here: pins of the one IOAPIC).
 */
export const pcPlatform = {
  uarts: [
    { port: 0x3f8, irq: 4 },
    { port: 0x2f8, irq: 3 },
  ],
  pic: { master: 0x20, slave: 0xa0, edgeLevel: 0x4d0, length: 2 },
  pit: { port: 0x40, irq: 0, hz: 1_193_182 },
  systemControl: { portA: 0x92, portB: 0x61 },
  rtc: { port: 0x70, irq: 8, centuryRegister: 0x32 },
  keyboard: { dataPort: 0x60, commandPort: 0x64 },
  /** ACPI's fixed hardware; there is no SMI command port, so ACPI mode is always on (`sciIrq` is level, active high). */
  acpi: {
    sciIrq: 9,
    pm1EventPort: 0x600,
    pm1EventLength: 4,
    pm1ControlPort: 0x604,
    pm1ControlLength: 2,
    pmTimerPort: 0x608,
    pmTimerLength: 4,
    pmTimerHz: 3_579_545,
    resetPort: 0xcf9,
    resetValue: 0x06,
    /** SLP_TYP of S5, the only sleeping state. */
    s5SleepType: 5,
  },
  ioApic: { address: 0xfec0_0000, length: 0x1000, pins: 24, gsiBase: 0, id: 0 },
  localApic: { address: 0xfee0_0000, length: 0x1000 },
  /** MADT interrupt source overrides: the ISA interrupts whose GSI or trigger is not the ISA default. */
  overrides: [
    { irq: 0, gsi: 2, trigger: "edge", polarity: "high" },
    { irq: 9, gsi: 9, trigger: "level", polarity: "high" },
  ],
  pci: {
    configPort: 0xcf8,
    configLength: 8,
    /** One bus: 32 devices × 8 functions × 4 KiB. */
    ecam: { address: 0xe000_0000, length: 0x10_0000, firstBus: 0, lastBus: 0 },
    window32: { address: 0xc000_0000, length: 0x2000_0000 },
    /** Above any RAM this platform gives a guest, below 2^39, so that 39 address bits reach it. */
    window64: { address: 0x40_0000_0000, length: 0x20_0000_0000 },
    ioWindow: { address: 0xc000, length: 0x4000 },
    /** Pin p (0 = INTA#) of device d drives PIRQ (d + p) % 4: IOAPIC pin `gsi`, and PIC input `irq`, level. */
    pirqs: [
      { gsi: 16, irq: 10 },
      { gsi: 17, irq: 11 },
      { gsi: 18, irq: 10 },
      { gsi: 19, irq: 11 },
    ],
  },
  debugExit: { port: 0xf4, length: 4 },
  debugConsole: { port: 0xe9 },
  panic: { port: 0x505 },
} as const;

/** The type of `pcPlatform`. */
export type PcPlatform = typeof pcPlatform;
