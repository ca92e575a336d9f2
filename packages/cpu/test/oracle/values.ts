import { SeededEntropy } from "@queztl/memory";
import { DATA_BYTES, STACK_BYTES } from "./layout.ts";

/** Random numbers of one seed, with a taste for edge cases. */
export class Chooser {
  readonly #entropy: SeededEntropy;

  constructor(seed: number) {
    this.#entropy = new SeededEntropy(seed);
  }

  /** 32 random bits, unsigned. */
  readonly next = (): number => this.#entropy.nextUint32();

  below(limit: number): number {
    return this.next() % limit;
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.next() % times === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  bits64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  /** A 64-bit value, often on an edge of some width. */
  value(): bigint {
    const width = BigInt(this.pick([8, 16, 32, 64]));
    const top = 1n << (width - 1n);
    const near = BigInt(this.below(5)) - 2n;
    const garbage = this.oneIn(2) ? 0n : (this.bits64() >> width) << width;
    const low = (value: bigint): bigint =>
      BigInt.asUintN(64, BigInt.asUintN(Number(width), value) | garbage);
    switch (this.below(8)) {
      case 0:
        return low(near);
      case 1:
        return low(top + near);
      case 2:
        return low((1n << BigInt(this.below(Number(width)))) + BigInt(this.below(3)) - 1n);
      case 3:
        return BigInt(this.below(70));
      case 4:
        return BigInt.asUintN(64, BigInt.asIntN(Number(width), this.bits64()));
      default:
        return this.bits64();
    }
  }
}

/** What data and stack hold before each instance: random bytes, with runs of equal ones for string instructions. */
export function memoryImage(): Uint8Array {
  const chooser = new Chooser(0x6d656d);
  const image = new Uint8Array(DATA_BYTES + STACK_BYTES);
  for (let at = 0; at < image.length;) {
    const run = chooser.oneIn(4) ? 1 + chooser.below(24) : 1;
    const byte = chooser.pick([0, 0xff, 0x80, 0x7f, 1, chooser.below(256), chooser.below(256)]);
    image.fill(byte, at, Math.min(image.length, at + run));
    at += run;
  }
  return image;
}
