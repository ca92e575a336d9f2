import type { BusHandler } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";

const SYSTEM_RESET = 2;
const RESET = 4;
const FULL_RESET = 8;

/** The reset control register (port 0xCF9): a rising bit 2 resets the machine. It holds no state worth saving. */
export class ResetControl {
  readonly #onReset: () => void;
  #value = 0;

  readonly port: BusHandler = byteRegisters({
    readByte: () => this.#value,
    writeByte: (_offset, value) => {
      const rises = value & ~this.#value & RESET;
      this.#value = value & (SYSTEM_RESET | RESET | FULL_RESET);
      if (!rises) return;
      this.#value &= ~RESET;
      this.#onReset();
    },
  });

  constructor(onReset: () => void) {
    this.#onReset = onReset;
  }
}
