/** 256 bits as eight words. */
export class VectorSet {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (((this.words[vector >> 5] as number) >>> (vector & 31)) & 1) !== 0;
  }

  add(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] as number) | (1 << (vector & 31));
  }

  delete(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] as number) & ~(1 << (vector & 31));
  }

  /** The highest member, or −1. */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.words[i] as number;
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
