import { describe, expect, it } from "vitest";
import { Pieces } from "./pieces.ts";

describe("Pieces", () => {
  it("a large buffer given back → the next of its size is the same one", () => {
    const pieces = new Pieces(1024 * 1024);
    const first = pieces.take(100_000);
    expect(first.length).toBe(131_072);
    pieces.give(first);
    expect(pieces.take(200_000)).not.toBe(first);
    expect(pieces.take(70_000)).toBe(first);
    expect(pieces.take(70_000)).not.toBe(first);
  });

  it("a small one → as long as asked for, and not kept", () => {
    const pieces = new Pieces(1024 * 1024);
    const small = pieces.take(4096);
    expect(small.length).toBe(4096);
    pieces.give(small);
    expect(pieces.take(4096)).not.toBe(small);
  });

  it("more given back than may be kept → the rest is let go", () => {
    const pieces = new Pieces(131_072);
    const taken = [pieces.take(65_536), pieces.take(65_536), pieces.take(65_536)];
    for (const piece of taken) pieces.give(piece);
    const again = [pieces.take(65_536), pieces.take(65_536), pieces.take(65_536)];
    expect(again.filter((piece) => taken.includes(piece))).toHaveLength(2);
  });
});
