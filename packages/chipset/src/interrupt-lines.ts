import type { InterruptLine } from "@queztl/memory";
import type { IoApic } from "./io-apic.ts";
import type { Pic } from "./pic-8259.ts";

/** The inputs that one wire reaches: an IOAPIC pin, a PIC input, or both. */
export interface Wire {
  readonly ioApicPin?: number;
  readonly picInput?: number;
}

/**
 * The board's interrupt wiring. Each wire may have several drivers; it is asserted while any of them
 * is, so that PCI devices share their interrupts. Two wires may end at one input, with the same rule.
 */
export class InterruptLines {
  readonly #ioApic: IoApic;
  readonly #pic: Pic;
  readonly #ioApicDrivers = new Map<number, number>();
  readonly #picDrivers = new Map<number, number>();

  constructor(ioApic: IoApic, pic: Pic) {
    this.#ioApic = ioApic;
    this.#pic = pic;
  }

  /** A new driver of a wire, not asserted. */
  connect(wire: Wire): InterruptLine {
    let driven = false;
    return {
      set: (asserted) => {
        if (asserted === driven) return;
        driven = asserted;
        const change = asserted ? 1 : -1;
        const { picInput, ioApicPin } = wire;
        if (picInput !== undefined) {
          const drivers = (this.#picDrivers.get(picInput) ?? 0) + change;
          this.#picDrivers.set(picInput, drivers);
          this.#pic.setLine(picInput, drivers > 0);
        }
        if (ioApicPin !== undefined) {
          const drivers = (this.#ioApicDrivers.get(ioApicPin) ?? 0) + change;
          this.#ioApicDrivers.set(ioApicPin, drivers);
          this.#ioApic.setLine(ioApicPin, drivers > 0);
        }
      },
    };
  }

  /** A driver of an ISA interrupt: the PIC input of that number, and the IOAPIC pin (2 for IRQ 0). */
  isa(irq: number): InterruptLine {
    return this.connect({ picInput: irq, ioApicPin: irq === 0 ? 2 : irq });
  }
}
