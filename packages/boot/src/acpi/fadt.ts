import type { AcpiPlatform } from "./platform.ts";
import { littleEndian } from "./aml.ts";

/** Bytes of the FADT of ACPI 6.0 and later, revision 6. */
const FADT_BYTES = 276;

// Fixed feature flags (ACPI 6.5, table 5.10).
const FLAG = {
  wbinvd: 1 << 0,
  c1: 1 << 2,
  noFixedSleepButton: 1 << 5,
  noFixedPowerButton: 1 << 4,
  rtcCannotWake: 1 << 6,
  timer32: 1 << 8,
  resetRegister: 1 << 10,
  hardwareReduced: 1 << 20,
} as const;

// IA-PC boot architecture flags (table 5.11).
const BOOT = { legacyDevices: 1 << 0, keyboard: 1 << 1, noVga: 1 << 2 } as const;

const NO_C2 = 0xffff;
const SYSTEM_IO = 1;

/** Sleep registers of the hardware-reduced interface (4.8.3.7); ports of one byte. */
export interface SleepPorts {
  readonly control: number;
  readonly status: number;
}

/** What the FADT says. */
export interface FadtOptions {
  readonly platform: AcpiPlatform;
  readonly facsAddress: number;
  readonly dsdtAddress: number;
  readonly pmTimerBits: 24 | 32;
  readonly keyboard: boolean;
  /** Set for the hardware-reduced interface: no PM1 blocks, no timer, no SCI. */
  readonly hardwareReduced: { readonly sleep?: SleepPorts } | undefined;
}

/** The FADT without its header's checksum and identifiers, which the caller fills (5.2.9). */
export function fadtBody(options: FadtOptions): Uint8Array {
  const { platform, hardwareReduced } = options;
  const { acpi } = platform;
  const table = new Uint8Array(FADT_BYTES);
  const put = (at: number, length: number, value: number) =>
    table.set(littleEndian(value, length), at);
  const register = (at: number, port: number, bytes: number) => {
    put(at, 1, SYSTEM_IO);
    put(at + 1, 1, bytes * 8);
    // Access sizes: 1 is a byte, 2 a word, 3 a double word.
    put(at + 3, 1, Math.min(3, Math.log2(bytes) + 1));
    put(at + 4, 8, port);
  };

  put(40, 4, options.dsdtAddress);
  put(140, 8, options.dsdtAddress);
  put(96, 2, NO_C2);
  put(98, 2, NO_C2);
  put(108, 1, platform.rtc.centuryRegister);
  put(109, 2, BOOT.legacyDevices | BOOT.noVga | (options.keyboard ? BOOT.keyboard : 0));
  const common = FLAG.wbinvd | FLAG.c1 | FLAG.noFixedSleepButton | FLAG.resetRegister;
  register(116, acpi.resetPort, 1);
  put(128, 1, acpi.resetValue);
  put(131, 1, 5); // the minor version of ACPI 6.5

  if (hardwareReduced) {
    put(112, 4, common | FLAG.noFixedPowerButton | FLAG.hardwareReduced);
    if (hardwareReduced.sleep) {
      register(244, hardwareReduced.sleep.control, 1);
      register(256, hardwareReduced.sleep.status, 1);
    }
    return table;
  }
  const timer32 = options.pmTimerBits === 32 ? FLAG.timer32 : 0;
  put(112, 4, common | FLAG.rtcCannotWake | timer32);
  put(36, 4, options.facsAddress);
  put(46, 2, acpi.sciIrq);
  put(56, 4, acpi.pm1EventPort);
  put(64, 4, acpi.pm1ControlPort);
  put(76, 4, acpi.pmTimerPort);
  put(88, 1, acpi.pm1EventLength);
  put(89, 1, acpi.pm1ControlLength);
  put(91, 1, acpi.pmTimerLength);
  register(148, acpi.pm1EventPort, acpi.pm1EventLength);
  register(172, acpi.pm1ControlPort, acpi.pm1ControlLength);
  register(208, acpi.pmTimerPort, acpi.pmTimerLength);
  return table;
}
