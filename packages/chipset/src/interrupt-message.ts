import type { MsiSink } from "@queztl/memory";

/** One message on the way from an IOAPIC or an MSI write to the local APICs. */
export interface InterruptMessage {
  readonly vector: number;
  /** 3 bits, as in redirection entries, MSI data and the ICR (Intel SDM vol. 3, 11.6.1): 0 fixed, 1 lowest priority, 4 NMI, 7 external … */
  readonly deliveryMode: number;
  /** The 8-bit destination field: an APIC id, or a logical destination. */
  readonly destination: number;
  readonly destinationMode: "physical" | "logical";
  /** Whether a level-triggered message asserts (true) or de-asserts; edge messages assert. */
  readonly level: boolean;
  readonly trigger: "edge" | "level";
}

/**
 * Where interrupt messages go: all local APICs together. `false` says that no local APIC took the message;
 * a level-triggered input is then sent again at its next change.
 */
export interface InterruptMessageSink {
  deliver(message: InterruptMessage): boolean | void;
}

const MSI_BASE = 0xfee0_0000;

/** Reads an MSI write as an interrupt message; undefined when the address is not the local APICs' (Intel SDM vol. 3, 11.11). */
export function decodeMsi(address: number, data: number): InterruptMessage | undefined {
  if (address < MSI_BASE || address > MSI_BASE + 0xf_ffff) return undefined;
  const low = address % 0x10_0000;
  return {
    vector: data & 0xff,
    deliveryMode: (data >>> 8) & 7,
    destination: (low >>> 12) & 0xff,
    destinationMode: low & 4 ? "logical" : "physical",
    level: (data & 0xc000) !== 0x8000,
    trigger: data & 0x8000 ? "level" : "edge",
  };
}

/** Turns MSI writes into interrupt messages for `sink`; a write to any other address is dropped. */
export function createMsiSink(sink: InterruptMessageSink): MsiSink {
  return {
    deliver(address, data) {
      const message = decodeMsi(address, data);
      if (message) sink.deliver(message);
    },
  };
}
