import type { BusHandler, Snapshottable } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { flag, optional, stateLayout, u8 } from "./state.ts";
import type { Saved } from "./state.ts";

// Status register.
const OUTPUT_FULL = 1;
const SYSTEM = 4;
const COMMAND = 8;
const UNLOCKED = 0x10;
const AUX_DATA = 0x20;
const TIMED_OUT = 0x40;

const RESEND = 0xfe;

/** Commands whose next data byte goes somewhere. */
const WRITE_MODE = 0x60;
const WRITE_OUTPUT_PORT = 0xd1;
const LOOP_KEYBOARD = 0xd2;
const LOOP_AUX = 0xd3;
const WRITE_AUX = 0xd4;

const layout = stateLayout("the keyboard controller", 1, {
  mode: u8,
  command: u8,
  output: optional(u8),
  outputStatus: u8,
  afterCommand: flag,
});

/** The saved state of a keyboard controller. */
export type KeyboardControllerState = Saved<typeof layout>;

/**
 * An 8042 with nothing plugged in: it passes its self test and answers every command at once, so that no
 * driver waits; bytes for the keyboard or the mouse come back as timed out. Command 0xFE and bit 0
 * of the output port reset the machine. It never interrupts.
 */
export class KeyboardController implements Snapshottable<KeyboardControllerState> {
  readonly #onReset: () => void;
  #mode = 0x30;
  #command = 0;
  #output: number | undefined;
  #outputStatus = 0;
  #afterCommand = false;

  /** Port 0x60. */
  readonly dataPort: BusHandler = byteRegisters({
    readByte: () => {
      const value = this.#output ?? 0;
      this.#output = undefined;
      this.#outputStatus = 0;
      return value;
    },
    writeByte: (_offset, value) => this.#data(value),
  });

  /** Port 0x64. */
  readonly commandPort: BusHandler = byteRegisters({
    readByte: () =>
      UNLOCKED |
      (this.#mode & SYSTEM) |
      (this.#afterCommand ? COMMAND : 0) |
      (this.#output === undefined ? 0 : OUTPUT_FULL | this.#outputStatus),
    writeByte: (_offset, value) => this.#run(value),
  });

  constructor(onReset: () => void) {
    this.#onReset = onReset;
  }

  reset(): void {
    this.#mode = 0x30;
    this.#command = 0;
    this.#output = undefined;
    this.#outputStatus = 0;
    this.#afterCommand = false;
  }

  save(): KeyboardControllerState {
    return {
      version: layout.version,
      mode: this.#mode,
      command: this.#command,
      output: this.#output,
      outputStatus: this.#outputStatus,
      afterCommand: this.#afterCommand,
    };
  }

  restore(state: KeyboardControllerState): void {
    const s = layout.check(state);
    this.#mode = s.mode;
    this.#command = s.command;
    this.#output = s.output;
    this.#outputStatus = s.outputStatus & (AUX_DATA | TIMED_OUT);
    this.#afterCommand = s.afterCommand;
  }

  #run(command: number): void {
    this.#afterCommand = true;
    this.#command = 0;
    switch (command) {
      case 0x20:
        return this.#answer(this.#mode);
      case 0xa7:
        this.#mode |= 0x20;
        return;
      case 0xa8:
        this.#mode &= ~0x20;
        return;
      case 0xa9: // Test of the mouse port, then of the keyboard port: both lines are fine.
      case 0xab:
        return this.#answer(0);
      case 0xaa:
        this.#mode |= SYSTEM;
        return this.#answer(0x55);
      case 0xad:
        this.#mode |= 0x10;
        return;
      case 0xae:
        this.#mode &= ~0x10;
        return;
      case 0xc0:
        return this.#answer(0x80);
      case 0xd0:
        // Output port: not in reset, A20 on.
        return this.#answer(this.#output === undefined ? 0x03 : 0x13);
      case WRITE_MODE:
      case WRITE_OUTPUT_PORT:
      case LOOP_KEYBOARD:
      case LOOP_AUX:
      case WRITE_AUX:
        this.#command = command;
        return;
      default:
        // 0xF0–0xFF pulse the output port's low bits that are 0; bit 0 is the reset line.
        if (command >= 0xf0 && !(command & 1)) this.#onReset();
    }
  }

  #data(value: number): void {
    const command = this.#command;
    this.#afterCommand = false;
    this.#command = 0;
    if (command === WRITE_MODE) this.#mode = value;
    else if (command === WRITE_OUTPUT_PORT) {
      if (!(value & 1)) this.#onReset();
    } else if (command === LOOP_KEYBOARD) this.#answer(value);
    else if (command === LOOP_AUX) this.#answer(value, AUX_DATA);
    else this.#answer(RESEND, TIMED_OUT | (command === WRITE_AUX ? AUX_DATA : 0));
  }

  #answer(value: number, status = 0): void {
    this.#output = value;
    this.#outputStatus = status;
  }
}
