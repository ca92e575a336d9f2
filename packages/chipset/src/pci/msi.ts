import type { MsiSink } from "@queztl/memory";
import { chipsetError } from "../errors.ts";
import type { ConfigSpace } from "./config-space.ts";
import type { PciCapabilityDescription } from "./function.ts";

const CAPABILITY = 0x05;
const ENABLE = 1;
const WIDE = 0x80;
const MASKABLE = 0x100;

// Offsets in the capability with 64-bit addresses and masking.
const CONTROL = 2;
const ADDRESS = 4;
const ADDRESS_HIGH = 8;
const DATA = 12;
const MASK = 16;
const PENDING = 20;

/** The MSI of one function (PCI Local Bus 3.0, 6.8.1), with 64-bit addresses and masking by vector. */
export class Msi {
  readonly capability: PciCapabilityDescription = { id: CAPABILITY, body: new Uint8Array(22) };
  readonly #vectors: number;
  #config: ConfigSpace | undefined;
  #at = 0;
  #sink: MsiSink | undefined;

  /** @throws QZ_CHIPSET_PCI_LAYOUT for a number of vectors that is no power of two up to 32. */
  constructor(name: string, vectors: number) {
    if (![1, 2, 4, 8, 16, 32].includes(vectors)) {
      throw chipsetError("QZ_CHIPSET_PCI_LAYOUT", {
        name,
        reason: `${vectors} MSI vectors: give a power of two up to 32`,
      });
    }
    this.#vectors = vectors;
  }

  connect(config: ConfigSpace, offset: number, sink: MsiSink): void {
    const capable = Math.log2(this.#vectors) << 1;
    config.define(offset + CONTROL, 2, capable | WIDE | MASKABLE, ENABLE | 0x70);
    config.define(offset + ADDRESS, 4, 0, 0xffff_fffc);
    config.define(offset + ADDRESS_HIGH, 4, 0, 0xffff_ffff);
    config.define(offset + DATA, 2, 0, 0xffff);
    config.define(offset + MASK, 4, 0, 2 ** this.#vectors - 1);
    this.#config = config;
    this.#at = offset;
    this.#sink = sink;
  }

  disconnect(): void {
    this.#sink = undefined;
  }

  get enabled(): boolean {
    return ((this.#config?.get(this.#at + CONTROL, 2) ?? 0) & ENABLE) !== 0;
  }

  /** The pending bits, which the config space does not let the guest write. */
  get pending(): number {
    return this.#config?.get(this.#at + PENDING, 4) ?? 0;
  }

  set pending(bits: number) {
    this.#config?.set(this.#at + PENDING, 4, bits);
  }

  notify(vector: number): void {
    const config = this.#config;
    if (!config || !this.enabled || !(vector >= 0 && vector < this.#vectors)) return;
    // A driver may enable fewer messages than there are: they share the last ones (6.8.1.6).
    const granted = 2 ** ((config.get(this.#at + CONTROL, 2) >>> 4) & 7);
    this.pending = this.pending | (1 << (vector & (Math.min(granted, this.#vectors) - 1)));
    this.update();
  }

  /** Sends the messages that are pending and not masked. */
  update(): void {
    const config = this.#config;
    if (!config || !this.enabled) return;
    const ready = this.pending & ~config.get(this.#at + MASK, 4);
    if (ready === 0) return;
    this.pending = this.pending & ~ready;
    const address =
      config.get(this.#at + ADDRESS_HIGH, 4) * 2 ** 32 + config.get(this.#at + ADDRESS, 4);
    const data = config.get(this.#at + DATA, 2);
    const granted = 2 ** ((config.get(this.#at + CONTROL, 2) >>> 4) & 7);
    for (let vector = 0; vector < this.#vectors; vector++)
      if (ready & (1 << vector)) this.#sink?.deliver(address, (data & ~(granted - 1)) | vector);
  }
}
