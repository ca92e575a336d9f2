import { describe, expect, test } from "vitest";
import { createFlatProcessor } from "../../src/flat-processor.ts";
import type { FlatProcessor } from "../../src/flat-processor.ts";
import { State } from "../../src/state/layout.ts";

const RAM = 1 << 20;
const CODE = 0x1000;

/** Writes a function that no other is equal to at an address, and runs it. */
function made({ memory, vcpu }: FlatProcessor, address: number, number: number): number {
  // mov eax, NUMBER; lea ebx, [rax + rax]; jmp $
  const code = Uint8Array.from([0xb8, 0, 0, 0, 0, 0x8d, 0x1c, 0x00, 0xeb, 0xfe]);
  new DataView(code.buffer).setUint32(1, number, true);
  memory.writeBytes(address, code);
  vcpu.rip = BigInt(address);
  vcpu.runSlice(3);
  return vcpu.u32(State.Registers) + vcpu.u32(State.Registers + 3 * 8);
}

describe("a program that makes code and throws it away", () => {
  test("functions written over one another, each translated → the new one runs, the old one is gone", () => {
    const processor = createFlatProcessor({ ramBytes: RAM, tier: "eager" });
    const rounds = 200;
    for (let i = 1; i <= rounds; i++) expect(made(processor, CODE + (i % 5) * 64, i)).toBe(3 * i);
    const statistics = processor.vcpu.board.translator?.statistics;
    expect(statistics?.regions).toBeGreaterThanOrEqual(rounds);
    // A place holds one function, and the loop at its end.
    expect(statistics?.live).toBeLessThanOrEqual(10);
    expect(statistics?.dropped).toBe((statistics?.regions ?? 0) - (statistics?.live ?? 0));
  }, 30_000);

  test("more code than there is room for what was decoded → all of it runs right, none of it fails", () => {
    const processor = createFlatProcessor({ ramBytes: RAM, tier: "auto" });
    const { code } = processor.vcpu.board;
    const before = code.generation;
    let i = 0;
    while (code.generation < before + 1 && i < 1_000_000) {
      i++;
      const sum = made(processor, CODE + ((i * 16) % (RAM / 2)), i);
      if (sum !== 3 * i) expect(sum, `function ${i}`).toBe(3 * i);
    }
    expect(code.generation).toBe(before + 1);
  }, 30_000);
});
