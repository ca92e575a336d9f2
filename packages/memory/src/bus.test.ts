import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Bus, createMmioBus, createPortBus } from "./bus.ts";
import type { AccessSize, BusHandler, Claim } from "./bus.ts";

const code = (name: string) => expect.toSatisfy((e) => isQueztlError(e, name));
const silent: BusHandler = { read: () => 0, write: () => {} };

test("an access inside a claim → its handler, with the offset; results cut to the size", () => {
  const bus = createPortBus();
  const seen: unknown[] = [];
  bus.claim(0x100, 8, "card", {
    read: (...args) => (seen.push(args), -1),
    write: (...args) => void seen.push(args),
  });
  expect(bus.read(0x104, 2)).toBe(0xffff);
  expect(bus.read(0x104, 4)).toBe(0xffff_ffff);
  bus.write(0x107, 1, 0x1234);
  expect(seen).toEqual([
    [4, 2],
    [4, 4],
    [7, 1, 0x34],
  ]);
});

test("an access that nobody claims or that leaves its claim → all ones, written nowhere", () => {
  const bus = createPortBus();
  bus.claim(0x100, 4, "card", {
    read: () => 0,
    write: () => {
      throw new Error("written");
    },
  });
  for (const address of [0xff, 0x101, 0x103, 0x104]) {
    expect(bus.read(address, 4)).toBe(0xffff_ffff);
    bus.write(address, 4, 0);
  }
});

test("impossible claims → coded errors", () => {
  const ports = createPortBus();
  const mmio = createMmioBus();
  for (const [base, length] of [
    [-1, 4],
    [0, 0],
    [0.5, 1],
    [0, NaN],
    [0xfff0, 0x20],
    [0x1_0000, 1],
    [0, Infinity],
    [0, -4],
  ] as const)
    // prettier-ignore
    expect(() => ports.claim(base, length, "x", silent)).toThrow(code("QZ_MEMORY_MISALIGNED"));
  expect(() => mmio.claim(0x1002, 4, "x", silent)).toThrow(code("QZ_MEMORY_MISALIGNED"));
  expect(() => mmio.claim(0x1000, 6, "x", silent)).toThrow(code("QZ_MEMORY_MISALIGNED"));
  expect(() => mmio.claim(2 ** 52 - 4, 8, "x", silent)).toThrow(code("QZ_MEMORY_MISALIGNED"));
  mmio.claim(0x1000, 0x1000, "first", silent);
  for (const [base, length] of [[0x1000, 4], [0xffc, 8], [0x1ffc, 8], [0, 0x4000]] as const)
    expect(() => mmio.claim(base, length, "second", silent)).toThrow(
      /second at 0x[0-9a-f]+ .* overlaps first at 0x1000/,
    ); // prettier-ignore
});

test("a released range → free at once, also right after it was used", () => {
  const bus = createMmioBus();
  const claim = bus.claim(0x1000, 0x1000, "bar", { read: () => 7, write: () => {} });
  expect(bus.read(0x1000, 4)).toBe(7);
  let changes = 0;
  bus.onChange(() => changes++);
  claim.release();
  expect(bus.read(0x1000, 4)).toBe(0xffff_ffff);
  bus.claim(0x1800, 0x1000, "moved", { read: () => 8, write: () => {} });
  expect(bus.read(0x1800, 4)).toBe(8);
  expect(changes).toBe(2);
});

test("a handler that releases its own claim → the access ends well", () => {
  const bus = createPortBus();
  const claim: Claim = bus.claim(0, 4, "self", {
    read: () => (claim.release(), 5),
    write: () => {},
  });
  expect(bus.read(0, 1)).toBe(5);
  expect(bus.read(0, 1)).toBe(0xff);
});

test("any claims and releases → every access goes where a plain table of bytes says", () => {
  const LIMIT = 64;
  const operation = fc.record({
    base: fc.integer({ min: 0, max: LIMIT - 1 }),
    length: fc.integer({ min: 1, max: 16 }),
    release: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
      const bus = new Bus({ limit: LIMIT, unit: 1 });
      const owner: (number | undefined)[] = Array.from({ length: LIMIT });
      const claims: Claim[] = [];
      operations.forEach(({ base, length, release }, id) => {
        if (release) {
          const claim = claims.splice(base % (claims.length || 1), 1)[0];
          if (claim) owner.fill(undefined, claim.base, claim.base + claim.length);
          claim?.release();
          return;
        }
        const free = owner.slice(base, base + length).every((o) => o === undefined);
        expect(bus.overlaps(base, length)).toBe(!free);
        if (!free || base + length > LIMIT) {
          expect(() => bus.claim(base, length, "x", silent)).toThrow(/QZ|x at/);
          return;
        }
        claims.push(bus.claim(base, length, "x", { read: () => id, write: () => {} }));
        owner.fill(id, base, base + length);
      });
      for (const size of [1, 2, 4] as AccessSize[]) {
        for (let address = 0; address < LIMIT; address++) {
          const touched = owner.slice(address, address + size);
          const one = touched.length === size && touched.every((o) => o === touched[0]);
          const expected = one && touched[0] !== undefined ? touched[0] : 2 ** (8 * size) - 1;
          expect(bus.read(address, size)).toBe(expected);
        }
      }
    }),
    { numRuns: 100 },
  );
});
