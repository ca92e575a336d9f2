import type { BusHandler, MsiSink } from "@queztl/memory";
import { chipsetError } from "../errors.ts";
import type { ConfigSpace } from "./config-space.ts";
import type { PciBarDescription, PciCapabilityDescription } from "./function.ts";

const CAPABILITY = 0x11;
const ENTRY_BYTES = 16;
const MASKED = 1;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

/**
 * The MSI-X of one function (PCI Local Bus 3.0, 6.8.2): the table and the pending bits in a BAR,
 * masking by vector and by function. A vector raised while masked is sent when it is unmasked.
 */
export class MsiX {
  readonly capability: PciCapabilityDescription;
  readonly bar: PciBarDescription;
  readonly #vectors: number;
  readonly #table: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #pending: Uint8Array<ArrayBuffer>;
  readonly #pendingOffset: number;
  #config: ConfigSpace | undefined;
  #control = 0;
  #sink: MsiSink | undefined;

  /** @throws QZ_CHIPSET_PCI_LAYOUT for more than 2048 vectors or without a free BAR. */
  constructor(name: string, vectors: number, barIndex: number) {
    if (!(Number.isInteger(vectors) && vectors >= 1 && vectors <= 2048) || barIndex < 0) {
      throw chipsetError("QZ_CHIPSET_PCI_LAYOUT", {
        name,
        reason: `${vectors} MSI-X vectors need a number from 1 to 2048 and a free BAR`,
      });
    }
    this.#vectors = vectors;
    this.#table = new Uint8Array(vectors * ENTRY_BYTES);
    this.#view = new DataView(this.#table.buffer);
    this.#pending = new Uint8Array(8 * Math.ceil(vectors / 64));
    this.#pendingOffset = Math.max(0x800, 2 ** Math.ceil(Math.log2(this.#table.length)));
    this.bar = {
      index: barIndex,
      bytes: Math.max(0x1000, 2 * this.#pendingOffset),
      handler: this.#handler(),
    };
    const body = new Uint8Array(10);
    const view = new DataView(body.buffer);
    view.setUint16(0, vectors - 1, true);
    view.setUint32(2, barIndex, true);
    view.setUint32(6, this.#pendingOffset | barIndex, true);
    this.capability = { id: CAPABILITY, body };
    this.#maskAll();
  }

  /** Tells where the capability is and where messages go. */
  connect(config: ConfigSpace, offset: number, sink: MsiSink): void {
    config.define(offset + 2, 2, this.#vectors - 1, ENABLE | FUNCTION_MASK);
    this.#config = config;
    this.#control = offset + 2;
    this.#sink = sink;
  }

  disconnect(): void {
    this.#sink = undefined;
  }

  get enabled(): boolean {
    return (this.#register & ENABLE) !== 0;
  }

  notify(vector: number): void {
    if (!this.enabled || !(vector >= 0 && vector < this.#vectors)) return;
    const byte = vector >>> 3;
    const bit = 1 << (vector & 7);
    this.#pending[byte] = (this.#pending[byte] as number) | bit;
    this.#send(vector);
  }

  /** The control register, or all of the table, changed: sends what became unmasked. */
  update(): void {
    if (!this.enabled || this.#pending.every((byte) => byte === 0)) return;
    for (let vector = 0; vector < this.#vectors; vector++) this.#send(vector);
  }

  reset(): void {
    this.#pending.fill(0);
    this.#maskAll();
  }

  save(): { table: Uint8Array; pending: Uint8Array } {
    return { table: this.#table.slice(), pending: this.#pending.slice() };
  }

  /** Takes a table and pending bits of this function's own sizes; sends nothing. */
  restore(table: Uint8Array, pending: Uint8Array): void {
    this.#table.set(table);
    this.#pending.set(pending);
  }

  get tableBytes(): number {
    return this.#table.length;
  }

  get pendingBytes(): number {
    return this.#pending.length;
  }

  get #register(): number {
    return this.#config?.get(this.#control, 2) ?? 0;
  }

  #send(vector: number): void {
    const byte = vector >>> 3;
    const bit = 1 << (vector & 7);
    const pending = this.#pending[byte] as number;
    const at = vector * ENTRY_BYTES;
    if (!(pending & bit) || (this.#register & (ENABLE | FUNCTION_MASK)) !== ENABLE) return;
    if (this.#view.getUint32(at + 12, true) & MASKED) return;
    this.#pending[byte] = pending & ~bit;
    const low = (this.#view.getUint32(at, true) & ~3) >>> 0;
    const high = this.#view.getUint32(at + 4, true);
    this.#sink?.deliver(high * 2 ** 32 + low, this.#view.getUint32(at + 8, true));
  }

  #maskAll(): void {
    this.#table.fill(0);
    for (let at = 12; at < this.#table.length; at += ENTRY_BYTES) this.#table[at] = MASKED;
  }

  #handler(): BusHandler {
    const byteAt = (offset: number) =>
      this.#table[offset] ?? this.#pending[offset - this.#pendingOffset] ?? 0;
    return {
      read: (offset, size) => {
        let value = 0;
        for (let i = 0; i < size; i++) value += byteAt(offset + i) * 2 ** (8 * i);
        return value;
      },
      write: (offset, size, value) => {
        if (offset + size > this.#table.length) return;
        for (let i = 0; i < size; i++) this.#table[offset + i] = value >>> (8 * i);
        this.#send(Math.floor(offset / ENTRY_BYTES));
      },
    };
  }
}
