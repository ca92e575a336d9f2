import { GuestMemory } from "@queztl/memory";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tlb, TlbKind } from "./tlb.ts";
import { TLB_ENTRIES, TlbEntry } from "../state/layout.ts";
import type { TlbKindValue, Translation } from "./tlb.ts";

const RAM = 64 * 1024;
const made = (): Tlb => new Tlb(new GuestMemory({ ramBytes: RAM, arenaBytes: 1024 * 1024 }));

const small = (linearLow: number, linearHigh: number, global: boolean): Translation => ({
  linearLow,
  linearHigh,
  offset: (linearLow >>> 0) + linearHigh * 8192 + (global ? 4096 : 0),
  read: true,
  write: true,
  execute: true,
  global,
  pageShift: 12,
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("fill" as const),
      kind: fc.constantFrom<TlbKindValue>(TlbKind.User, TlbKind.Supervisor),
      // Few places, so that entries of several pages meet in one.
      page: fc.integer({ min: 0, max: 3 }),
      high: fc.integer({ min: 0, max: 2 }),
      global: fc.boolean(),
      code: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant("flush" as const), keepGlobal: fc.boolean() }),
  fc.record({ do: fc.constant("page" as const), page: fc.integer({ min: 0, max: 3 }) }),
);

it("any fills and flushes → what was entered last and not dropped is found, nothing else", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const tlb = made();
      const model = new Map<string, Translation>();
      for (const each of steps) {
        if (each.do === "fill") {
          const t = small(each.page * 4096, each.high, each.global);
          tlb.fill(each.kind, t, each.code);
          model.set(`${each.kind} ${each.code} ${each.page}`, t);
        } else if (each.do === "flush") {
          tlb.flush(each.keepGlobal);
          for (const [key, t] of model) if (!each.keepGlobal || !t.global) model.delete(key);
        } else {
          tlb.flushPage(each.page * 4096);
          for (const key of model.keys()) if (key.endsWith(` ${each.page}`)) model.delete(key);
        }
        for (const kind of [TlbKind.User, TlbKind.Supervisor])
          for (let page = 0; page < 4; page++)
            for (let high = 0; high < 3; high++) {
              const found = [1, 2].map((access) =>
                tlb.probe(kind, page * 4096 + 5, high, access as 1 | 2),
              );
              const expected = [false, true].map((code) => {
                const t = model.get(`${kind} ${code} ${page}`);
                return t?.linearHigh === high ? t.offset + 5 : -1;
              });
              expect(found).toEqual(expected);
            }
      }
    }),
  );
});

it("all places filled, each global and not by turns ten times → dropped by the next flush", () => {
  const tlb = made();
  for (let round = 0; round < 10; round++)
    for (let page = 0; page < 4096; page++)
      tlb.fill(TlbKind.Supervisor, small(page * 4096, 0, (page + round) % 2 === 0), false);
  tlb.flush(true);
  // In the last round odd pages were global.
  expect(tlb.probe(TlbKind.Supervisor, 4096, 0, 0)).toBeGreaterThanOrEqual(0);
  expect(tlb.probe(TlbKind.Supervisor, 8192, 0, 0)).toBe(-1);
  tlb.flush(false);
  for (let page = 0; page < 4096; page++)
    expect(tlb.probe(TlbKind.Supervisor, page * 4096, 0, 0)).toBe(-1);
});

it("entries that match nothing → their tags are of no page that has its entry there", () => {
  const memory = new GuestMemory({ ramBytes: RAM, arenaBytes: 1024 * 1024 });
  const tlb = new Tlb(memory);
  const { view } = memory.arena;
  const matching = (): string[] => {
    const found: string[] = [];
    for (let index = 0; index < TLB_ENTRIES; index++) {
      for (const tag of [TlbEntry.Read, TlbEntry.Write, TlbEntry.Execute]) {
        const at = tlb.table(TlbKind.User) + index * TlbEntry.Length + tag;
        const page = view.getUint32(at, true) >>> 12;
        if ((page & (TLB_ENTRIES - 1)) === index) found.push(`entry ${index}, tag ${tag}`);
      }
    }
    return found;
  };
  expect(matching()).toEqual([]);
  for (const low of [0, 0xfff_f000]) tlb.fill(TlbKind.User, small(low, -1, false), false);
  tlb.forbidWrites();
  tlb.flush(false);
  expect(matching()).toEqual([]);
  tlb.fill(TlbKind.User, { ...small(0x3000, 0, false), read: false, write: false }, false);
  expect(matching()).toEqual([]);
});
