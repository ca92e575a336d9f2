import { memoryError } from "./errors.ts";

/** The sizes in bytes of one access on a bus; the CPU splits 8-byte accesses into two, low half first. */
export type AccessSize = 1 | 2 | 4;

/** A device behind a claimed range. Offsets count from the claim's base; values are unsigned, at most 32 bits. */
export interface BusHandler {
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
}

/** A claimed range; `release` gives it back (a PCI BAR that moves, a device that is unplugged). */
export interface Claim {
  readonly name: string;
  readonly base: number;
  readonly length: number;
  release(): void;
}

/** What kind of bus: its size and the unit its claims are aligned to. */
export interface BusShape {
  readonly limit: number;
  readonly unit: number;
}

interface Range extends Claim {
  readonly handler: BusHandler;
}

/** What a read of an address nobody claims returns: all ones, as a floating bus does. */
export const OPEN_BUS: Readonly<Record<AccessSize, number>> = { 1: 0xff, 2: 0xffff, 4: 0xffffffff };

/**
 * An address space that devices claim ranges of: the 64 KiB of port I/O, or guest-physical MMIO.
 * Ranges never overlap. An access that nobody claims, or that leaves its range, reads as all ones and
 * writes nowhere.
 */
export class Bus {
  readonly shape: BusShape;
  #ranges: Range[] = [];
  #last: Range | undefined;
  #onChange: (() => void)[] = [];

  constructor(shape: BusShape) {
    this.shape = shape;
  }

  /** The claims in address order. */
  get claims(): readonly Claim[] {
    return this.#ranges;
  }

  /**
   * Claims `length` addresses from `base`.
   * @throws QZ_MEMORY_MISALIGNED for a range off the bus or off its unit, QZ_MEMORY_OVERLAP for a taken one.
   */
  claim(base: number, length: number, name: string, handler: BusHandler): Claim {
    const { limit, unit } = this.shape;
    const whole = [base, length].every((n) => Number.isSafeInteger(n) && n >= 0 && n % unit === 0);
    if (!whole || length === 0 || base + length > limit)
      throw memoryError("QZ_MEMORY_MISALIGNED", { name, base: hex(base), length, unit, limit });
    const other = this.#ranges.find((r) => base < r.base + r.length && r.base < base + length);
    if (other) {
      throw memoryError("QZ_MEMORY_OVERLAP", {
        name,
        base: hex(base),
        length,
        other: `${other.name} at ${hex(other.base)}`,
      });
    }
    const range: Range = { name, base, length, handler, release: () => this.#release(range) };
    this.#ranges = [...this.#ranges, range].sort((a, b) => a.base - b.base);
    this.#changed();
    return range;
  }

  /** Calls `listener` after each claim and release, so that cached decisions about addresses can be dropped. */
  onChange(listener: () => void): void {
    this.#onChange.push(listener);
  }

  /** Whether any of the `length` addresses from `base` is claimed. */
  overlaps(base: number, length: number): boolean {
    return this.#ranges.some((r) => base < r.base + r.length && r.base < base + length);
  }

  read(address: number, size: AccessSize): number {
    const range = this.#find(address, size);
    return range === undefined
      ? OPEN_BUS[size]
      : (range.handler.read(address - range.base, size) & OPEN_BUS[size]) >>> 0;
  }

  write(address: number, size: AccessSize, value: number): void {
    const range = this.#find(address, size);
    range?.handler.write(address - range.base, size, (value & OPEN_BUS[size]) >>> 0);
  }

  #find(address: number, size: number): Range | undefined {
    const last = this.#last;
    if (last && address >= last.base && address + size <= last.base + last.length) return last;
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle] as Range;
      if (range.base + range.length <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low];
    if (!range || address < range.base || address + size > range.base + range.length) {
      return undefined;
    }
    return (this.#last = range);
  }

  #release(range: Range): void {
    this.#ranges = this.#ranges.filter((r) => r !== range);
    this.#changed();
  }

  #changed(): void {
    this.#last = undefined;
    for (const listener of this.#onChange) listener();
  }
}

/** The 64 KiB port-I/O space (Intel SDM vol. 1, 19.3). */
export function createPortBus(): Bus {
  return new Bus({ limit: 0x10000, unit: 1 });
}

/** Guest-physical MMIO: 52 address bits, claims in units of 4 bytes. */
export function createMmioBus(): Bus {
  return new Bus({ limit: 2 ** 52, unit: 4 });
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
