import type { BusHandler, Clock, Snapshottable } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import type { Pit8254 } from "./pit-8254.ts";
import { stateLayout, u8 } from "./state.ts";
import type { Saved } from "./state.ts";

/** The refresh bit of port B toggles at each DRAM refresh of an AT. */
const REFRESH_NS = 15_085;

const A20 = 2;
const FAST_RESET = 1;

const layout = stateLayout("the system control ports", 1, { portA: u8, portB: u8 });

/** The saved state of the system control ports. */
export type SystemControlState = Saved<typeof layout>;

/** What the system control ports reach. */
export interface SystemControlOptions {
  readonly clock: Clock;
  readonly pit: Pit8254;
  /** The guest used the fast reset of port 0x92. */
  readonly onReset: () => void;
  /** The speaker's data bit, gate and counter 2 decide whether it sounds; called when the data bit changes. */
  readonly onSpeaker?: (enabled: boolean) => void;
}

/** System control ports A (0x92: fast reset, A20, which is always on) and B (0x61: PIT counter 2 and speaker). */
export class SystemControl implements Snapshottable<SystemControlState> {
  readonly #options: SystemControlOptions;
  #a = A20;
  #b = 0;

  /** Port 0x92. */
  readonly portA: BusHandler = byteRegisters({
    readByte: () => this.#a,
    writeByte: (_offset, value) => {
      const reset = value & ~this.#a & FAST_RESET;
      this.#a = (value & FAST_RESET) | A20;
      if (reset) this.#options.onReset();
    },
  });

  /** Port 0x61. */
  readonly portB: BusHandler = byteRegisters({
    readByte: () => {
      const { clock, pit } = this.#options;
      const refresh = Math.floor(clock.nowNs() / REFRESH_NS) % 2;
      return this.#b | (refresh ? 0x10 : 0) | (pit.output2 ? 0x20 : 0);
    },
    writeByte: (_offset, value) => {
      const speaker = (value ^ this.#b) & 2;
      this.#b = value & 0x0f;
      this.#options.pit.gate2 = (value & 1) !== 0;
      if (speaker) this.#options.onSpeaker?.((value & 2) !== 0);
    },
  });

  constructor(options: SystemControlOptions) {
    this.#options = options;
  }

  reset(): void {
    this.#a = A20;
    this.#b = 0;
  }

  save(): SystemControlState {
    return { version: layout.version, portA: this.#a, portB: this.#b };
  }

  restore(state: SystemControlState): void {
    const { portA, portB } = layout.check(state);
    this.#a = (portA & FAST_RESET) | A20;
    this.#b = portB & 0x0f;
  }
}
