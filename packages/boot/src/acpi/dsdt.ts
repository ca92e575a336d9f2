import {
  argument,
  device,
  hardwareId,
  ifThen,
  integer,
  method,
  name,
  namePath,
  packageOf,
  returns,
  scope,
  store,
} from "./aml.ts";
import type { Aml } from "./aml.ts";
import type { AcpiPlatform } from "./platform.ts";
import {
  busNumbers,
  fixedMemory,
  ioPorts,
  ioWindow,
  isaIrq,
  levelInterrupt,
  memoryWindow32,
  memoryWindow64,
  resourceTemplate,
} from "./resources.ts";
import type { AddressRange } from "./resources.ts";

/** A virtio device on the MMIO transport: its registers and its interrupt. */
export interface VirtioMmioDevice extends AddressRange {
  readonly gsi: number;
}

/** What the DSDT describes. */
export interface DsdtOptions {
  readonly platform: AcpiPlatform;
  /** Whether the guest shall look for a PS/2 keyboard controller. */
  readonly keyboard: boolean;
  readonly virtioMmio: readonly VirtioMmioDevice[];
}

const KEYBOARD_IRQ = 1;
const PCI_DEVICES = 32;
const PCI_PINS = 4;

/** The AML of the DSDT, without its header. */
export function dsdtBody(options: DsdtOptions): Aml {
  const { platform, virtioMmio } = options;
  const s5 = integer(platform.acpi.s5SleepType);
  return [
    ...name("\\_S5", packageOf(s5, s5, integer(0), integer(0))),
    // The guest calls _PIC to say which interrupt controllers it uses: 0 the 8259s, 1 the IOAPIC.
    ...name("\\PICM", integer(0)),
    ...method("\\_PIC", 1, store(argument(0), namePath("\\PICM"))),
    ...scope(
      "\\_SB",
      pciHost(platform.pci),
      motherboard(platform),
      ...platform.uarts.map(serialPort),
      identified("RTC0", "PNP0B00", [ioPorts(platform.rtc.port, 2), isaIrq(platform.rtc.irq)]),
      options.keyboard ? keyboard(platform.keyboard) : [],
      identified("PEVT", "QEMU0001", [ioPorts(platform.panic.port, 1)]),
      ...virtioMmio.map(virtio),
    ),
  ];
}

function identified(path: string, id: string, resources: readonly Aml[], ...more: Aml[]): Aml {
  return device(
    path,
    name("_HID", hardwareId(id)),
    ...more,
    name("_CRS", resourceTemplate(...resources)),
  );
}

function pciHost(pci: AcpiPlatform["pci"]): Aml {
  const windows = [
    busNumbers(pci.ecam.firstBus, pci.ecam.lastBus),
    ioPorts(pci.configPort, pci.configLength),
    ioWindow(pci.ioWindow),
    memoryWindow32(pci.window32),
    memoryWindow64(pci.window64),
  ];
  return device(
    "PCI0",
    name("_HID", hardwareId("PNP0A03")),
    name("_UID", integer(0)),
    name("_SEG", integer(0)),
    name("_BBN", integer(pci.ecam.firstBus)),
    name("_CRS", resourceTemplate(...windows)),
    name("APRT", routing(pci.pirqs.map((pirq) => pirq.gsi))),
    name("PPRT", routing(pci.pirqs.map((pirq) => pirq.irq))),
    method(
      "_PRT",
      0,
      ifThen(namePath("\\PICM"), returns(namePath("APRT"))),
      returns(namePath("PPRT")),
    ),
  );
}

/** A _PRT with fixed interrupts: (device << 16 | any function, pin, no link device, interrupt) (6.2.13). */
function routing(interrupts: readonly number[]): Aml {
  const entries: Aml[] = [];
  for (let slot = 0; slot < PCI_DEVICES; slot++) {
    for (let pin = 0; pin < PCI_PINS; pin++) {
      const interrupt = interrupts[(slot + pin) % interrupts.length] ?? 0;
      const address = slot * 0x1_0000 + 0xffff;
      entries.push(packageOf(integer(address), integer(pin), integer(0), integer(interrupt)));
    }
  }
  return packageOf(...entries);
}

/** Claims what belongs to no device: the guest trusts the ECAM only if something reserves it (PCI Firmware 3.3, 4.1.2). */
function motherboard(platform: AcpiPlatform): Aml {
  const { acpi, pci } = platform;
  return identified("MBRD", "PNP0C02", [
    fixedMemory(pci.ecam),
    ioPorts(acpi.pm1EventPort, acpi.pm1EventLength),
    ioPorts(acpi.pm1ControlPort, acpi.pm1ControlLength),
    ioPorts(acpi.pmTimerPort, acpi.pmTimerLength),
  ]);
}

function serialPort(uart: AcpiPlatform["uarts"][number], index: number): Aml {
  const resources = [ioPorts(uart.port, 8), isaIrq(uart.irq)];
  return identified(`COM${index + 1}`, "PNP0501", resources, name("_UID", integer(index + 1)));
}

function keyboard(ports: AcpiPlatform["keyboard"]): Aml {
  const { dataPort, commandPort } = ports;
  return identified("KBD0", "PNP0303", [
    ioPorts(dataPort, 1),
    ioPorts(commandPort, 1),
    isaIrq(KEYBOARD_IRQ),
  ]);
}

function virtio(registers: VirtioMmioDevice, index: number): Aml {
  const path = `V${index.toString(16).toUpperCase().padStart(3, "0")}`;
  const resources = [fixedMemory(registers), levelInterrupt(registers.gsi)];
  return identified(path, "LNRO0005", resources, name("_UID", integer(index)));
}
