import type { BusHandler, Clock, InterruptLine, Snapshottable, Timer } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { bytes, flag, optional, span, stateLayout, u16, u8 } from "./state.ts";
import type { Saved } from "./state.ts";

const FIFO = 16;
const CLOCK_HZ = 1_843_200;

// Interrupt enable register.
const RECEIVE = 1;
const TRANSMIT = 2;
const LINE_STATUS = 4;
const MODEM_STATUS = 8;

// Interrupt identification register: causes by falling priority.
const CAUSE_NONE = 1;
const CAUSE_LINE = 6;
const CAUSE_DATA = 4;
const CAUSE_TIMEOUT = 12;
const CAUSE_TRANSMIT = 2;
const CAUSE_MODEM = 0;

// Line control, line status, modem control.
const DIVISOR_LATCH = 0x80;
const DATA_READY = 1;
const OVERRUN = 2;
const BREAK = 0x10;
const LINE_ERRORS = 0x1e;
const HOLDING_EMPTY = 0x20;
const IDLE = 0x40;
const OUT2 = 8;
const LOOPBACK = 0x10;

/** CTS, DSR and DCD asserted: a terminal that is there. */
const CONNECTED = 0xb0;

const TRIGGERS = [1, 4, 8, 14] as const;

const layout = stateLayout("the UART", 1, {
  interruptEnable: u8,
  lineControl: u8,
  modemControl: u8,
  lineErrors: u8,
  modemDeltas: u8,
  scratch: u8,
  divisor: u16,
  fifoControl: u8,
  transmitPending: flag,
  receiveTimeout: flag,
  stalled: flag,
  received: bytes(0, FIFO),
  unsent: bytes(0, FIFO),
  /** Nanoseconds until the character timeout; absent when none runs. */
  timeoutInNs: optional(span),
});

/** The saved state of a UART. */
export type UartState = Saved<typeof layout>;

/** What a UART is connected to. */
export interface UartOptions {
  readonly clock: Clock;
  readonly interrupt: InterruptLine;
  /**
   * Takes bytes the guest sent, in order. `false` asks the UART to send no more until `resumeOutput`; the
   * bytes given are taken all the same.
   */
  readonly output: (bytes: Uint8Array) => boolean | void;
  /** The receiver has room again after `input` took less than it was given. */
  readonly onInputRoom?: () => void;
}

/**
 * A National 16550A UART (8 byte-wide ports). The line has no speed: a byte sent is out at once, a byte
 * received is there at once; only the receiver's character timeout takes the time of the baud rate. As on
 * a PC, MCR.OUT2 gates the interrupt.
 */
export class Uart16550 implements Snapshottable<UartState> {
  readonly #options: UartOptions;
  #interruptEnable = 0;
  #lineControl = 0;
  #modemControl = 0;
  #lineErrors = 0;
  #modemDeltas = 0;
  #scratch = 0;
  #divisor = 12;
  #fifoControl = 0;
  /** The transmitter became empty and neither a write nor a read of the IIR has answered that. */
  #transmitPending = false;
  #receiveTimeout = false;
  #stalled = false;
  #received: number[] = [];
  #unsent: number[] = [];
  #wantsRoom = false;
  #timer: Timer | undefined;
  #timeoutAtNs = 0;

  /** The eight ports. */
  readonly ports: BusHandler = byteRegisters({
    readByte: (offset) => this.#read(offset),
    writeByte: (offset, value) => this.#write(offset, value),
  });

  constructor(options: UartOptions) {
    this.#options = options;
  }

  /**
   * Gives the guest bytes to receive; takes as many as the receiver has room for and returns how many.
   * When that is less, `onInputRoom` is called once there is room.
   */
  input(data: Uint8Array): number {
    // In loopback the receiver is cut off from the line: bytes wait outside.
    const room = this.#modemControl & LOOPBACK ? 0 : this.#capacity - this.#received.length;
    const taken = Math.max(0, Math.min(room, data.length));
    if (taken < data.length) this.#wantsRoom = true;
    if (taken === 0) return 0;
    for (let i = 0; i < taken; i++) this.#received.push(data[i] as number);
    this.#receiverChanged();
    this.#update();
    return taken;
  }

  /** The guest sees a break on the line: the start of a SysRq sequence. */
  inputBreak(): void {
    if (this.#received.length < this.#capacity) this.#received.push(0);
    this.#lineErrors |= BREAK;
    this.#receiverChanged();
    this.#update();
  }

  /** The other side takes bytes again after `output` returned false. */
  resumeOutput(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    const unsent = this.#unsent;
    this.#unsent = [];
    if (unsent.length > 0) this.#send(Uint8Array.from(unsent));
    this.#transmitPending = true;
    this.#update();
  }

  /** The registers as after a hardware reset; bytes not sent yet are lost. */
  reset(): void {
    this.#interruptEnable = 0;
    this.#lineControl = 0;
    this.#modemControl = 0;
    this.#lineErrors = 0;
    this.#modemDeltas = 0;
    this.#fifoControl = 0;
    this.#transmitPending = false;
    this.#unsent = [];
    this.#clearReceiver();
    this.#update();
    this.#offerRoom();
  }

  save(): UartState {
    return {
      version: layout.version,
      interruptEnable: this.#interruptEnable,
      lineControl: this.#lineControl,
      modemControl: this.#modemControl,
      lineErrors: this.#lineErrors,
      modemDeltas: this.#modemDeltas,
      scratch: this.#scratch,
      divisor: this.#divisor,
      fifoControl: this.#fifoControl,
      transmitPending: this.#transmitPending,
      receiveTimeout: this.#receiveTimeout,
      stalled: this.#stalled,
      received: Uint8Array.from(this.#received),
      unsent: Uint8Array.from(this.#unsent),
      timeoutInNs: this.#timer && this.#timeoutAtNs - this.#options.clock.nowNs(),
    };
  }

  restore(state: UartState): void {
    const s = layout.check(state);
    this.#interruptEnable = s.interruptEnable & 0x0f;
    this.#lineControl = s.lineControl;
    this.#modemControl = s.modemControl & 0x1f;
    this.#lineErrors = s.lineErrors & LINE_ERRORS;
    this.#modemDeltas = s.modemDeltas & 0x0f;
    this.#scratch = s.scratch;
    this.#divisor = s.divisor;
    this.#fifoControl = s.fifoControl & 0xc9;
    this.#transmitPending = s.transmitPending;
    this.#receiveTimeout = s.receiveTimeout;
    this.#stalled = s.stalled;
    this.#received = [...s.received];
    this.#unsent = [...s.unsent];
    this.#stopTimer();
    if (s.timeoutInNs !== undefined) this.#startTimer(s.timeoutInNs);
    this.#update();
  }

  get #fifos(): boolean {
    return (this.#fifoControl & 1) !== 0;
  }

  get #capacity(): number {
    return this.#fifos ? FIFO : 1;
  }

  #read(offset: number): number {
    switch (offset) {
      case 0:
        return this.#lineControl & DIVISOR_LATCH ? this.#divisor & 0xff : this.#receive();
      case 1:
        return this.#lineControl & DIVISOR_LATCH ? this.#divisor >>> 8 : this.#interruptEnable;
      case 2: {
        const cause = this.#cause();
        if (cause === CAUSE_TRANSMIT) {
          this.#transmitPending = false;
          this.#update();
        }
        return cause | (this.#fifos ? 0xc0 : 0);
      }
      case 3:
        return this.#lineControl;
      case 4:
        return this.#modemControl;
      case 5: {
        const status = this.#lineStatus();
        this.#lineErrors = 0;
        this.#update();
        return status;
      }
      case 6: {
        const status = this.#modemLines() | this.#modemDeltas;
        this.#modemDeltas = 0;
        this.#update();
        return status;
      }
      default:
        return this.#scratch;
    }
  }

  #write(offset: number, value: number): void {
    switch (offset) {
      case 0:
        if (this.#lineControl & DIVISOR_LATCH) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case 1:
        if (this.#lineControl & DIVISOR_LATCH) {
          this.#divisor = (this.#divisor & 0xff) | (value << 8);
        } else {
          // Enabling the transmit interrupt while the transmitter is empty raises it (data sheet, 8.6.7).
          const enabled = value & ~this.#interruptEnable & TRANSMIT;
          if (enabled && this.#lineStatus() & HOLDING_EMPTY) this.#transmitPending = true;
          this.#interruptEnable = value & 0x0f;
        }
        break;
      case 2:
        this.#setFifoControl(value);
        break;
      case 3:
        this.#lineControl = value;
        break;
      case 4:
        this.#setModemControl(value & 0x1f);
        break;
      case 7:
        this.#scratch = value;
        break;
      default: // The status registers' writes are for the factory's tests only.
    }
    this.#update();
  }

  #transmit(value: number): void {
    this.#transmitPending = false;
    if (this.#modemControl & LOOPBACK) {
      if (this.#received.length >= this.#capacity) {
        this.#lineErrors |= OVERRUN;
        // Without FIFOs the new byte takes the place of the old one; with them the new one is lost.
        if (!this.#fifos) this.#received.pop();
      }
      if (this.#received.length < this.#capacity) this.#received.push(value);
      this.#receiverChanged();
    } else if (this.#stalled) {
      if (this.#unsent.length < this.#capacity) this.#unsent.push(value);
      return;
    } else {
      this.#send(Uint8Array.of(value));
    }
    this.#transmitPending = true;
  }

  #send(data: Uint8Array): void {
    if (this.#options.output(data) === false) this.#stalled = true;
  }

  #receive(): number {
    const value = this.#received.shift() ?? 0;
    this.#receiverChanged();
    this.#update();
    this.#offerRoom();
    return value;
  }

  /** Last in any access: the callback may call `input`. */
  #offerRoom(): void {
    if (!this.#wantsRoom || this.#received.length > 0 || this.#modemControl & LOOPBACK) return;
    this.#wantsRoom = false;
    this.#options.onInputRoom?.();
  }

  #setFifoControl(value: number): void {
    const toggled = (value ^ this.#fifoControl) & 1;
    // The other bits can be written only together with the enable bit.
    this.#fifoControl = value & 1 ? value & 0xc9 : 0;
    if (toggled || value & 2) this.#clearReceiver();
    if ((toggled || value & 4) && this.#unsent.length > 0) {
      this.#unsent = [];
      this.#transmitPending = true;
    }
    this.#offerRoom();
  }

  #setModemControl(value: number): void {
    const before = this.#modemLines();
    const toggled = (value ^ this.#modemControl) & LOOPBACK;
    this.#modemControl = value;
    const after = this.#modemLines();
    // Deltas of CTS, DSR, DCD; RI counts when it ends.
    this.#modemDeltas |= ((before ^ after) >>> 4) & 0x0b;
    if (before & ~after & 0x40) this.#modemDeltas |= 4;
    if (toggled) this.#offerRoom();
  }

  #modemLines(): number {
    const control = this.#modemControl;
    if (!(control & LOOPBACK)) return CONNECTED;
    return (
      ((control & 2) << 3) | ((control & 1) << 5) | ((control & 4) << 4) | ((control & 8) << 4)
    );
  }

  #lineStatus(): number {
    return (
      (this.#received.length > 0 ? DATA_READY : 0) |
      this.#lineErrors |
      (this.#unsent.length > 0 ? 0 : HOLDING_EMPTY) |
      (this.#stalled ? 0 : IDLE)
    );
  }

  #cause(): number {
    const enabled = this.#interruptEnable;
    if (enabled & LINE_STATUS && this.#lineErrors) return CAUSE_LINE;
    if (enabled & RECEIVE) {
      if (this.#received.length >= this.#trigger) return CAUSE_DATA;
      if (this.#receiveTimeout) return CAUSE_TIMEOUT;
    }
    if (enabled & TRANSMIT && this.#transmitPending) return CAUSE_TRANSMIT;
    if (enabled & MODEM_STATUS && this.#modemDeltas) return CAUSE_MODEM;
    return CAUSE_NONE;
  }

  get #trigger(): number {
    return this.#fifos ? (TRIGGERS[this.#fifoControl >>> 6] as number) : 1;
  }

  #update(): void {
    const asserted = this.#cause() !== CAUSE_NONE && (this.#modemControl & OUT2) !== 0;
    this.#options.interrupt.set(asserted);
  }

  #clearReceiver(): void {
    this.#received = [];
    this.#receiverChanged();
  }

  /** The receiver's FIFO was read or filled: its character timeout starts again. */
  #receiverChanged(): void {
    this.#stopTimer();
    this.#receiveTimeout = false;
    if (this.#fifos && this.#received.length > 0 && this.#received.length < this.#trigger) {
      const control = this.#lineControl;
      const bits = 7 + (control & 3) + (control & 4 ? 1 : 0) + (control & 8 ? 1 : 0);
      this.#startTimer((4 * bits * 16e9 * Math.max(1, this.#divisor)) / CLOCK_HZ);
    }
  }

  #startTimer(inNs: number): void {
    const { clock } = this.#options;
    this.#timeoutAtNs = clock.nowNs() + inNs;
    this.#timer = clock.schedule(this.#timeoutAtNs, () => {
      this.#timer = undefined;
      this.#receiveTimeout = true;
      this.#update();
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
