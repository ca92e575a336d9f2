import { memoryError } from "./errors.ts";

/** Where random bytes come from: the host, or a seed in a run that must repeat. */
export interface Entropy {
  /** Fills the whole of `bytes`. */
  fill(bytes: Uint8Array): void;
}

/** The host's cryptographic random numbers. */
export const hostEntropy: Entropy = {
  fill(bytes) {
    // getRandomValues takes at most 65536 bytes a call and no view of shared memory.
    for (let at = 0; at < bytes.length; at += 65536) {
      const part = new Uint8Array(Math.min(65536, bytes.length - at));
      crypto.getRandomValues(part);
      bytes.set(part, at);
    }
  },
};

/** Random numbers that repeat for the same seed (xoshiro128**, seeded through splitmix32): not for secrets. */
export class SeededEntropy implements Entropy {
  #state: [number, number, number, number];

  constructor(seed: number) {
    let x = seed >>> 0;
    const next = (): number => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    };
    this.#state = [next(), next(), next(), next()];
  }

  /** The next 32 random bits, unsigned. */
  nextUint32(): number {
    const s = this.#state;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 4) {
      const word = this.nextUint32();
      for (let j = 0; j < 4 && i + j < bytes.length; j++) bytes[i + j] = word >>> (8 * j);
    }
  }

  /** The generator's state, four 32-bit words. */
  save(): number[] {
    return this.#state.map((word) => word >>> 0);
  }

  /** @throws QZ_MEMORY_STATE unless `state` is four 32-bit words, not all zero. */
  restore(state: readonly number[]): void {
    const [a = -1, b = -1, c = -1, d = -1] = state;
    const words: [number, number, number, number] = [a, b, c, d];
    const possible = words.every((word) => Number.isInteger(word) && word === word >>> 0);
    if (!possible || state.length !== 4 || (a | b | c | d) === 0) {
      throw memoryError("QZ_MEMORY_STATE", {
        what: "the random generator",
        reason: "it is not four 32-bit words",
      });
    }
    this.#state = words;
  }
}
