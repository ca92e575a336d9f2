import { expect, test } from "vitest";
import type { Shape } from "../semantics/context.ts";
import { State } from "../state/layout.ts";
import type { Block, Step, Target } from "./collect-region.ts";
import { RegionBlocks } from "./region-blocks.ts";
import { flowOf } from "./region-flow.ts";
import type { Flow } from "./region-flow.ts";

const SHAPE: Shape = {
  key: "jcc",
  name: "jcc",
  operands: [],
  size: 64,
  condition: 4,
  long: true,
  near: false,
  addressSize: 64,
  repeat: "",
};

/** A block of as many instructions at an offset; some branch to others, by their places. */
function block(offset: number, length: number, branches: Record<number, number>): Block {
  const to = (target: number): Target => ({ offset: target, crosses: false });
  const steps = Array.from({ length }, (_, i): Step => {
    const target = branches[i];
    return {
      addressRecord: 0,
      addressHandler: 0,
      record: State.Registers + offset + i,
      leave: offset + i,
      shape: SHAPE,
      inPage: offset + i,
      length: 1,
      secondPage: -1,
      target: target === undefined ? undefined : to(target),
      guesses: [],
    };
  });
  const inPage = offset + length;
  const end = { kind: "next", inPage, target: to(inPage) } as const;
  return { offset, page: 0, record: offset, steps, end };
}

function unrolled(blocks: readonly Block[]): { readonly all: RegionBlocks; readonly flow: Flow } {
  const index = new Map(blocks.map(({ offset }, i) => [offset, i]));
  const successors = ({ all }: RegionBlocks, written: RegionBlocks): number[][] =>
    all.map(({ steps, end }, from) => {
      const targets = steps.map(({ target }) => target);
      if (end.kind === "next") targets.push(end.target);
      const found = targets.map((target) => target && written.at(target.offset, from));
      return [...new Set(found.filter((to) => to !== undefined))];
    });
  const flow = (written: RegionBlocks): Flow =>
    flowOf(
      successors(written, written),
      written.all.map(({ steps }) => steps.length),
      new Set([0]),
      blocks.length,
    );
  const once = new RegionBlocks(blocks, index);
  const all = once.unrolled(flow(once));
  return { all, flow: flow(all) };
}

test("a loop of six instructions with more behind it → four rounds that lead to each other, and what is behind once", () => {
  // 0 to 5 go round, 6 to 8 follow.
  const { all, flow } = unrolled([block(0, 9, { 5: 0 })]);
  expect(all.all.map(({ offset, steps }) => [offset, steps.length])).toEqual([
    [0, 6],
    [6, 3],
    [0, 6],
    [0, 6],
    [0, 6],
  ]);
  expect([0, 2, 3, 4].map((from) => [all.at(0, from), all.at(6, from)])).toEqual([
    [2, 1],
    [3, 1],
    [4, 1],
    [0, 1],
  ]);
  expect(flow.entries).toEqual([0]);
  expect([...flow.checked]).toEqual([0]);
  // The budget is compared once for all rounds and what follows.
  expect(flow.longest[0]).toBe(27);
});

test("a loop of two blocks → rounds of both, each block leading to the one of its round", () => {
  const { all } = unrolled([block(0, 5, { 4: 8 }), block(8, 4, { 3: 0 })]);
  expect(all.all.map(({ offset }) => offset)).toEqual([0, 8, 0, 8]);
  expect([all.at(8, 0), all.at(0, 1), all.at(8, 2), all.at(0, 3)]).toEqual([1, 2, 3, 0]);
});

test("a long loop, and a loop with one inside → the inner one has rounds, if it is short", () => {
  expect(unrolled([block(0, 13, { 12: 0 })]).all.all).toHaveLength(1);
  const { all } = unrolled([block(0, 2, {}), block(2, 12, { 11: 2 }), block(14, 4, { 3: 0 })]);
  expect(all.all.map(({ offset }) => offset)).toEqual([0, 2, 14, 2]);
});

test("a loop that is also entered behind its header → as it was", () => {
  const blocks = [block(0, 2, { 1: 6 }), block(2, 4, {}), block(6, 3, { 2: 2 })];
  expect(unrolled(blocks).all.all).toHaveLength(3);
});
