import { littleEndian } from "./aml.ts";
import type { AcpiPlatform } from "./platform.ts";

/** The MADT's processors and interrupt controllers, after the table's header (ACPI 6.5, 5.2.12). */
export function madtBody(platform: AcpiPlatform, apicIds: readonly number[]): number[] {
  const { ioApic, overrides } = platform;
  const PCAT_COMPATIBLE = 1; // there are 8259s, to be masked by who uses the IOAPIC
  const ENABLED = 1;
  const ALL = 0xff;
  const NMI_PIN = 1;
  const large = apicIds.some((id) => id >= ALL);
  return [
    ...littleEndian(platform.localApic.address, 4),
    ...littleEndian(PCAT_COMPATIBLE, 4),
    ...apicIds.flatMap((id, uid) =>
      id < ALL
        ? entry(0, [uid, id, ...littleEndian(ENABLED, 4)])
        : entry(9, [0, 0, ...[id, ENABLED, uid].flatMap((value) => littleEndian(value, 4))]),
    ),
    ...entry(1, [
      ioApic.id,
      0,
      ...littleEndian(ioApic.address, 4),
      ...littleEndian(ioApic.gsiBase, 4),
    ]),
    ...overrides.flatMap(({ irq, gsi, trigger, polarity }) =>
      entry(2, [
        0,
        irq,
        ...littleEndian(gsi, 4),
        ...littleEndian((trigger === "level" ? 0b1100 : 0b0100) | (polarity === "low" ? 3 : 1), 2),
      ]),
    ),
    ...entry(4, [ALL, 0, 0, NMI_PIN]),
    ...(large ? entry(10, [0, 0, ...littleEndian(0xffff_ffff, 4), NMI_PIN, 0, 0, 0]) : []),
  ];
}

function entry(type: number, body: readonly number[]): number[] {
  return [type, body.length + 2, ...body];
}
