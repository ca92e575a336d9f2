import type { BusHandler, Snapshottable } from "@queztl/memory";
import { byteRegisters } from "./byte-registers.ts";
import { chipsetError } from "./errors.ts";
import { flag, record, stateLayout, u8, upTo } from "./state.ts";
import type { Checked, Saved } from "./state.ts";

const CASCADE = 2;
const SPURIOUS = 7;

const chipState = record({
  lines: u8,
  requests: u8,
  inService: u8,
  masked: u8,
  levelTriggered: u8,
  base: u8,
  lowest: upTo(7),
  /** Which initialization word is due: 0 none, 2, 3 or 4. */
  word: upTo(4),
  wantsWord4: flag,
  single: flag,
  levelMode: flag,
  autoEnd: flag,
  rotateOnAutoEnd: flag,
  fullyNested: flag,
  specialMask: flag,
  readInService: flag,
  poll: flag,
});

type ChipState = Checked<typeof chipState>;

const layout = stateLayout("the PIC", 1, { master: chipState, slave: chipState });

/** The saved state of a PIC pair. */
export type PicState = Saved<typeof layout>;

// As firmware leaves it: every input masked, vectors where real mode has them.
const initial = (base: number): ChipState => ({
  lines: 0,
  requests: 0,
  inService: 0,
  masked: 0xff,
  levelTriggered: 0,
  base,
  lowest: 7,
  word: 0,
  wantsWord4: false,
  single: false,
  levelMode: false,
  autoEnd: false,
  rotateOnAutoEnd: false,
  fullyNested: false,
  specialMask: false,
  readInService: false,
  poll: false,
});

/** One 8259A. Inputs in edge mode latch a rising edge until it is acknowledged. */
class Chip {
  s: ChipState;
  readonly #base: number;
  /** The input that another chip drives, which follows its line in every mode; -1 for none. */
  readonly #cascade: number;

  constructor(base: number, cascade: number) {
    this.#base = base;
    this.#cascade = cascade;
    this.s = initial(base);
  }

  reset(): void {
    const { lines } = this.s;
    this.s = { ...initial(this.#base), lines };
    this.#followLines();
  }

  setLine(input: number, asserted: boolean): void {
    const s = this.s;
    const bit = 1 << input;
    const was = (s.lines & bit) !== 0;
    if (asserted) s.lines |= bit;
    else s.lines &= ~bit;
    if (this.#levels() & bit) s.requests = (s.requests & ~bit) | (s.lines & bit);
    else if (asserted && !was) s.requests |= bit;
  }

  setLevelTriggered(mask: number): void {
    this.s.levelTriggered = mask;
    this.#followLines();
  }

  /** The input to serve next, or -1: the one of highest priority that outranks what is in service. */
  next(): number {
    const s = this.s;
    const rank = this.#rank(s.requests & ~s.masked);
    if (rank === 8) return -1;
    let inService = s.inService;
    if (s.specialMask) inService &= ~s.masked;
    if (s.fullyNested && this.#cascade >= 0) inService &= ~(1 << this.#cascade);
    return rank < this.#rank(inService) ? this.#input(rank) : -1;
  }

  acknowledge(input: number): void {
    const s = this.s;
    const bit = 1 << input;
    if (!(this.#levels() & bit)) s.requests &= ~bit;
    if (!s.autoEnd) s.inService |= bit;
    else if (s.rotateOnAutoEnd) s.lowest = input;
  }

  readByte(offset: number): number {
    const s = this.s;
    if (s.poll) {
      s.poll = false;
      const input = this.next();
      if (input < 0) return 0;
      this.acknowledge(input);
      return 0x80 | input;
    }
    if (offset === 1) return s.masked;
    return s.readInService ? s.inService : s.requests;
  }

  writeByte(offset: number, value: number): void {
    if (offset === 1) this.#writeData(value);
    else if (value & 0x10) this.#begin(value);
    else if (value & 0x08) this.#control(value);
    else this.#end(value);
  }

  /** ICW1: initialization starts; edges must be seen anew. */
  #begin(value: number): void {
    const { lines, levelTriggered } = this.s;
    this.s = {
      ...initial(this.#base),
      lines,
      levelTriggered,
      masked: 0,
      word: 2,
      wantsWord4: (value & 1) !== 0,
      single: (value & 2) !== 0,
      levelMode: (value & 8) !== 0,
    };
    this.#followLines();
  }

  #writeData(value: number): void {
    const s = this.s;
    if (s.word === 0) {
      s.masked = value;
    } else if (s.word === 2) {
      s.base = value & 0xf8;
      s.word = s.single ? (s.wantsWord4 ? 4 : 0) : 3;
    } else if (s.word === 3) {
      s.word = s.wantsWord4 ? 4 : 0;
    } else {
      s.fullyNested = (value & 0x10) !== 0;
      s.autoEnd = (value & 2) !== 0;
      s.word = 0;
    }
  }

  /** OCW3: special mask mode, poll, which register reads. */
  #control(value: number): void {
    const s = this.s;
    if (value & 4) s.poll = true;
    if (value & 2) s.readInService = (value & 1) !== 0;
    if (value & 0x40) s.specialMask = (value & 0x20) !== 0;
  }

  /** OCW2: end of interrupt and rotation. */
  #end(value: number): void {
    const s = this.s;
    const level = value & 7;
    const command = value >>> 5;
    if (command === 0 || command === 4) {
      s.rotateOnAutoEnd = command === 4;
    } else if (command === 1 || command === 5) {
      const candidates = s.specialMask ? s.inService & ~s.masked : s.inService;
      const rank = this.#rank(candidates);
      if (rank === 8) return;
      const input = this.#input(rank);
      s.inService &= ~(1 << input);
      if (command === 5) s.lowest = input;
    } else if (command === 3 || command === 7) {
      s.inService &= ~(1 << level);
      if (command === 7) s.lowest = level;
    } else if (command === 6) {
      s.lowest = level;
    }
  }

  #levels(): number {
    const { levelMode, levelTriggered } = this.s;
    const cascade = this.#cascade < 0 ? 0 : 1 << this.#cascade;
    return levelMode ? 0xff : levelTriggered | cascade;
  }

  #followLines(): void {
    const s = this.s;
    const levels = this.#levels();
    s.requests = (s.requests & ~levels) | (s.lines & levels);
  }

  #input(rank: number): number {
    return (this.s.lowest + 1 + rank) & 7;
  }

  #rank(inputs: number): number {
    if (inputs === 0) return 8;
    let rank = 0;
    while (!(inputs & (1 << this.#input(rank)))) rank++;
    return rank;
  }
}

/** What the PIC drives. */
export interface PicOptions {
  /** The INTR pin changed; the processor answers with `acknowledge` when it takes the interrupt. */
  readonly onInterruptRequest: (asserted: boolean) => void;
}

/**
 * The PC's pair of 8259A interrupt controllers with the edge/level control registers of the ISA bridge:
 * inputs 0–7 on the master, 8–15 on the slave, which drives the master's input 2.
 */
export class Pic implements Snapshottable<PicState> {
  readonly #master = new Chip(0x08, CASCADE);
  readonly #slave = new Chip(0x70, -1);
  readonly #options: PicOptions;
  #requested = false;

  /** The master's two ports (0x20). */
  readonly masterPorts: BusHandler = this.#ports(this.#master);
  /** The slave's two ports (0xA0). */
  readonly slavePorts: BusHandler = this.#ports(this.#slave);
  /** The two edge/level control registers (0x4D0): a set bit makes the input level-triggered. */
  readonly edgeLevelPorts: BusHandler = byteRegisters({
    readByte: (offset) => (offset === 0 ? this.#master : this.#slave).s.levelTriggered,
    writeByte: (offset, value) => {
      // The timer, keyboard, cascade, RTC and coprocessor inputs are always edge-triggered.
      if (offset === 0) this.#master.setLevelTriggered(value & 0xf8);
      else this.#slave.setLevelTriggered(value & 0xde);
      this.#update();
    },
  });

  constructor(options: PicOptions) {
    this.#options = options;
  }

  /** Whether the INTR pin is asserted. */
  get requested(): boolean {
    return this.#requested;
  }

  /** @throws QZ_CHIPSET_PIN for an input that is not 0–15. Input 2 is the cascade and ignores its line. */
  setLine(input: number, asserted: boolean): void {
    if (!(Number.isInteger(input) && input >= 0 && input < 16))
      throw chipsetError("QZ_CHIPSET_PIN", { chip: "the PIC", pin: input, last: 15 });
    if (input === CASCADE) return;
    if (input < 8) this.#master.setLine(input, asserted);
    else this.#slave.setLine(input - 8, asserted);
    this.#update();
  }

  /**
   * The INTA cycles: returns the vector, and puts the interrupt in service. A request that went away in
   * the meantime gives the spurious vector (IRQ 7 or 15), with nothing in service for it.
   */
  acknowledge(): number {
    const vector = this.#acknowledge();
    this.#update();
    return vector;
  }

  /** Both chips as at power-on: all inputs masked. */
  reset(): void {
    this.#master.reset();
    this.#slave.reset();
    this.#update();
  }

  save(): PicState {
    return { version: layout.version, master: { ...this.#master.s }, slave: { ...this.#slave.s } };
  }

  restore(state: PicState): void {
    const { master, slave } = layout.check(state);
    this.#master.s = master;
    this.#slave.s = slave;
    this.#update();
  }

  #acknowledge(): number {
    const master = this.#master;
    const slave = this.#slave;
    const input = master.next();
    if (input < 0) return master.s.base + SPURIOUS;
    master.acknowledge(input);
    if (input !== CASCADE) return master.s.base + input;
    const slaveInput = slave.next();
    if (slaveInput < 0) return slave.s.base + SPURIOUS;
    slave.acknowledge(slaveInput);
    return slave.s.base + slaveInput;
  }

  #update(): void {
    this.#master.setLine(CASCADE, this.#slave.next() >= 0);
    const requested = this.#master.next() >= 0;
    if (requested === this.#requested) return;
    this.#requested = requested;
    this.#options.onInterruptRequest(requested);
  }

  #ports(chip: Chip): BusHandler {
    return byteRegisters({
      readByte: (offset) => {
        const value = chip.readByte(offset);
        this.#update();
        return value;
      },
      writeByte: (offset, value) => {
        chip.writeByte(offset, value);
        this.#update();
      },
    });
  }
}
