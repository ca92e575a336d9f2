import type { BusHandler, Snapshottable } from "@queztl/memory";
import { chipsetError } from "./errors.ts";
import type { InterruptMessageSink } from "./interrupt-message.ts";
import { list, stateLayout, u32, u8, upTo } from "./state.ts";
import type { Saved } from "./state.ts";

const PINS = 24;
/** Version 0x20: the first with the EOI register. */
const VERSION = ((PINS - 1) << 16) | 0x20;

const LOGICAL = 1 << 11;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
const LOW_WRITABLE = 0x1_afff;

const layout = stateLayout("the IOAPIC", 1, {
  id: upTo(15),
  select: u8,
  lines: u32,
  low: list(u32, PINS),
  high: list(u32, PINS),
});

/** The saved state of an IOAPIC. */
export type IoApicState = Saved<typeof layout>;

/**
 * An 82093AA-compatible IOAPIC, version 0x20, with 24 inputs: each turns into a message to the local
 * APICs as its redirection entry says. Inputs are "asserted" or not: the polarity bit is kept but has no
 * effect. An edge on a masked input is lost, as the data sheet says; a level waits.
 */
export class IoApic implements Snapshottable<IoApicState> {
  readonly #sink: InterruptMessageSink;
  #id = 0;
  #select = 0;
  #lines = 0;
  readonly #low = new Uint32Array(PINS).fill(MASKED);
  readonly #high = new Uint32Array(PINS);

  /** The MMIO window: IOREGSEL at 0, IOWIN at 0x10, EOI at 0x40; 32-bit accesses. */
  readonly mmio: BusHandler = {
    read: (offset, size) => {
      const aligned = offset & ~3;
      const value =
        aligned === 0x00 ? this.#select : aligned === 0x10 ? this.#readRegister(this.#select) : 0;
      return (value >>> (8 * (offset & 3))) & (size === 4 ? 0xffffffff : 2 ** (8 * size) - 1);
    },
    write: (offset, _size, value) => {
      if (offset === 0x00) this.#select = value & 0xff;
      else if (offset === 0x10) this.#writeRegister(this.#select, value);
      else if (offset === 0x40) this.endOfInterrupt(value & 0xff);
    },
  };

  constructor(sink: InterruptMessageSink) {
    this.#sink = sink;
  }

  /** @throws QZ_CHIPSET_PIN for an input that is not 0–23. */
  setLine(pin: number, asserted: boolean): void {
    if (!(Number.isInteger(pin) && pin >= 0 && pin < PINS))
      throw chipsetError("QZ_CHIPSET_PIN", { chip: "the IOAPIC", pin, last: PINS - 1 });
    const bit = 1 << pin;
    const was = (this.#lines & bit) !== 0;
    if (asserted === was) return;
    this.#lines = (asserted ? this.#lines | bit : this.#lines & ~bit) >>> 0;
    if (!asserted) return;
    const low = this.#low[pin] as number;
    if (low & MASKED) return;
    if (low & LEVEL) this.#deliverLevel(pin);
    else this.#deliver(pin);
  }

  /**
   * A local APIC ended a level-triggered interrupt with this vector (its EOI broadcast, or a write to the
   * EOI register): inputs that still are asserted are sent again.
   */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < PINS; pin++) {
      const low = this.#low[pin] as number;
      if ((low & 0xff) !== vector || !(low & REMOTE_IRR)) continue;
      this.#low[pin] = low & ~REMOTE_IRR;
      this.#deliverLevel(pin);
    }
  }

  /** As at power-on: every input masked. The lines keep their levels. */
  reset(): void {
    this.#id = 0;
    this.#select = 0;
    this.#low.fill(MASKED);
    this.#high.fill(0);
  }

  save(): IoApicState {
    return {
      version: layout.version,
      id: this.#id,
      select: this.#select,
      lines: this.#lines,
      low: [...this.#low],
      high: [...this.#high],
    };
  }

  /** Nothing is delivered: what was under way is in the local APICs' states. */
  restore(state: IoApicState): void {
    const { id, select, lines, low, high } = layout.check(state);
    this.#id = id;
    this.#select = select;
    this.#lines = lines & (2 ** PINS - 1);
    this.#low.set(low);
    this.#high.set(high);
  }

  #readRegister(index: number): number {
    if (index === 0x00 || index === 0x02) return this.#id << 24;
    if (index === 0x01) return VERSION;
    const pin = (index - 0x10) >> 1;
    if (index < 0x10 || pin >= PINS) return 0xffffffff;
    return (index & 1 ? this.#high[pin] : this.#low[pin]) as number;
  }

  #writeRegister(index: number, value: number): void {
    if (index === 0x00) this.#id = (value >>> 24) & 0x0f;
    const pin = (index - 0x10) >> 1;
    if (index < 0x10 || pin >= PINS) return;
    if (index & 1) {
      this.#high[pin] = value & 0xff00_0000;
      return;
    }
    const was = this.#low[pin] as number;
    // An input made edge-triggered forgets that it waits for an EOI: kernels use this as an EOI.
    const remote = value & LEVEL ? was & REMOTE_IRR : 0;
    this.#low[pin] = (value & LOW_WRITABLE) | remote;
    this.#deliverLevel(pin);
  }

  #deliverLevel(pin: number): void {
    const low = this.#low[pin] as number;
    if (!(low & LEVEL) || low & (MASKED | REMOTE_IRR) || !(this.#lines & (1 << pin))) return;
    // Set first: the local APIC may end the interrupt inside `deliver`.
    this.#low[pin] = low | REMOTE_IRR;
    if (!this.#deliver(pin)) this.#low[pin] = low & ~REMOTE_IRR;
  }

  #deliver(pin: number): boolean {
    const low = this.#low[pin] as number;
    const taken = this.#sink.deliver({
      vector: low & 0xff,
      deliveryMode: (low >>> 8) & 7,
      destination: (this.#high[pin] as number) >>> 24,
      destinationMode: low & LOGICAL ? "logical" : "physical",
      level: true,
      trigger: low & LEVEL ? "level" : "edge",
    });
    return taken !== false;
  }
}
