import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  GuestMemory,
  HIGH_RAM_BASE,
  LOW_RAM_TOP,
  MAX_NARROW_RAM_BYTES,
  MAX_RAM_BYTES,
  PAGE_BYTES,
  PageAttribute,
} from "./guest-memory.ts";

const RAM = 1024 * 1024;
const code = (name: string) => expect.toSatisfy((e) => isQueztlError(e, name));
const OUT = code("QZ_MEMORY_OUT_OF_RANGE");
const create = (arenaBytes = 0) => new GuestMemory({ ramBytes: RAM, arenaBytes });
const attributes = (memory: GuestMemory, address: number) =>
  memory.pageAttributes[address / PAGE_BYTES];

test("impossible sizes → coded errors", () => {
  for (const ramBytes of [0, -4096, 4096, 65537, NaN, Infinity, 0.5, MAX_RAM_BYTES + 4096, 2 ** 53])
    expect(() => new GuestMemory({ ramBytes })).toThrow(code("QZ_MEMORY_SIZE"));
  for (const arenaBytes of [Infinity, NaN, 2 ** 32])
    expect(() => create(arenaBytes)).toThrow(code("QZ_MEMORY_UNAVAILABLE"));
});

test("values written → read back little-endian, at any address", () => {
  const memory = create();
  memory.writeUint32(0x1001, 0x11223344);
  expect([...memory.readBytes(0x1000, 6)]).toEqual([0, 0x44, 0x33, 0x22, 0x11, 0]);
  expect(memory.readUint8(0x1004)).toBe(0x11);
  memory.writeUint16(RAM - 2, 0xbeef);
  expect(memory.readUint16(RAM - 2)).toBe(0xbeef);
  memory.writeUint64(8, 0xfedcba9876543210n);
  expect(memory.readUint64(8)).toBe(0xfedcba9876543210n);
  memory.writeUint8(0, 0x1ff);
  expect(memory.readUint8(0)).toBe(0xff);
});

test("any access that is not wholly in RAM → coded error, nothing written", () => {
  const memory = create();
  memory.bytes.fill(0x5a);
  const address = fc.oneof(
    fc.integer({ min: -16, max: 16 }).map((n) => RAM + n),
    fc.integer({ min: -16, max: -1 }),
    fc.constantFrom(NaN, Infinity, -Infinity, 2 ** 32, 2 ** 53, LOW_RAM_TOP, HIGH_RAM_BASE),
  );
  const length = fc.constantFrom(1, 2, 4, 8, 64, 2 ** 32, NaN, -1, Infinity);
  fc.assert(
    fc.property(address, length, (at, bytes) => {
      const inside = at >= 0 && bytes >= 0 && at + bytes <= RAM;
      expect(memory.contains(at, bytes)).toBe(inside);
      if (inside) return;
      expect(() => memory.readView(at, bytes)).toThrow(OUT);
      expect(() => memory.writeView(at, bytes)).toThrow(OUT);
      expect(() => memory.protect(at, bytes)).toThrow(/./);
    }),
  );
  for (const bytes of [1, 2, 4, 8]) {
    const at = RAM - bytes + 1;
    expect(() => memory.writeBytes(at, new Uint8Array(bytes))).toThrow(OUT);
  }
  expect(() => memory.writeUint64(RAM - 7, 0n)).toThrow(OUT);
  expect(() => memory.readUint16(RAM - 1)).toThrow(OUT);
  expect(memory.bytes.every((byte) => byte === 0x5a)).toBe(true);
});

test.each([
  ["a 32-bit memory", MAX_NARROW_RAM_BYTES, false],
  ["a 64-bit memory", MAX_RAM_BYTES, true],
])(
  "RAM above the hole → continues at 4 GiB, up to the largest guest of %s",
  (_, ramBytes, wide) => {
    const memory = new GuestMemory({ ramBytes });
    expect(memory.wide).toBe(wide);
    expect(memory.regions.map((r) => [r.guestStart, r.length])).toEqual([
      [0, LOW_RAM_TOP],
      [HIGH_RAM_BASE, ramBytes - LOW_RAM_TOP],
    ]);
    const last = HIGH_RAM_BASE + ramBytes - LOW_RAM_TOP - 4;
    memory.writeUint32(last, 0xcafef00d);
    expect(memory.readUint32(last)).toBe(0xcafef00d);
    expect(memory.addressOf(memory.offsetOf(last, 4))).toBe(last);
    expect(memory.contains(LOW_RAM_TOP - 4, 8)).toBe(false);
    expect(memory.contains(LOW_RAM_TOP, 1)).toBe(false);
    expect(memory.contains(last, 5)).toBe(false);
  },
);

test("the arena → aligned pieces that overlap nothing, until it is full", () => {
  const memory = create(64 * 1024);
  const a = memory.allocate(100);
  const b = memory.allocate(100, 4096);
  expect(a % 64).toBe(0);
  expect(b % 4096).toBe(0);
  expect(b).toBeGreaterThanOrEqual(a + 100);
  expect(b + 100).toBeLessThanOrEqual(memory.attributesOffset);
  for (const bytes of [64 * 1024, NaN, -1])
    expect(() => memory.allocate(bytes)).toThrow(code("QZ_MEMORY_ARENA_FULL"));
});

test("dirty pages → those written since they were last taken, by any method", () => {
  const memory = create();
  memory.writeUint8(0, 1);
  expect(memory.takeDirtyPages()).toEqual([]);
  let told = 0;
  memory.onProtect(() => told++);
  memory.startDirtyTracking();
  expect(memory.takeDirtyPages()).toEqual([]);
  memory.writeUint8(0x1fff, 1);
  memory.writeUint32(0x4ffe, 1);
  memory.writeBytes(0x8000, new Uint8Array(0));
  memory.writeView(0xa000, 0x2000);
  memory.readView(0xe000, 16);
  expect(memory.takeDirtyPages()).toEqual([0x1000, 0x4000, 0x5000, 0xa000, 0xb000]);
  expect(memory.takeDirtyPages()).toEqual([]);
  expect(told).toBe(2);
  memory.stopDirtyTracking();
  expect(memory.pageAttributes.every((a) => a === 0)).toBe(true);
});

test("any writes → exactly the pages they touch are dirty", () => {
  const write = fc.tuple(fc.nat(RAM - 1), fc.integer({ min: 1, max: 20_000 }));
  fc.assert(
    fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
      const memory = create();
      memory.startDirtyTracking();
      const expected = new Set<number>();
      for (const [at, wanted] of writes) {
        const length = Math.min(wanted, RAM - at);
        memory.writeView(at, length);
        for (let page = Math.floor(at / PAGE_BYTES); page * PAGE_BYTES < at + length; page++)
          expected.add(page * PAGE_BYTES);
      }
      expect(memory.takeDirtyPages()).toEqual([...expected].sort((a, b) => a - b));
    }),
    { numRuns: 30 },
  );
});

test("a write to a page with cached code → its bytes are told before they change", () => {
  const memory = create();
  const heard: unknown[] = [];
  memory.pageAttributes[2] = PageAttribute.Code;
  memory.onCodeWrite((offset, length) =>
    heard.push([offset - memory.ramOffset, length, memory.bytes[offset]]),
  );
  memory.writeUint8(0x1fff, 1);
  memory.writeUint32(0x1ffe, 0x11111111);
  memory.writeView(0, 0x10000).fill(9);
  expect(heard).toEqual([
    [0x2000, 2, 0],
    [0x2000, 0x1000, 0x11],
  ]);
});

test("read-only pages → devices' writes are dropped, told to who caches permissions", () => {
  const memory = create();
  let told = 0;
  memory.onProtect(() => told++);
  memory.writeUint32(0x3000, 0x12345678);
  memory.protect(0x3000, 0x2000);
  expect(told).toBe(1);
  expect(attributes(memory, 0x4000)).toBe(PageAttribute.ReadOnly);
  memory.writeUint8(0x3000, 0);
  memory.writeUint16(0x3000, 0);
  memory.writeUint32(0x3000, 0);
  memory.writeUint64(0x3000, 0n);
  memory.writeBytes(0x2ffe, new Uint8Array(8).fill(7));
  memory.writeView(0x3000, 16).fill(7);
  expect(memory.readUint32(0x3000)).toBe(0x12345678);
  expect(memory.readUint8(0x2ffe)).toBe(0);
  for (const [at, length] of [[0x3001, 0x1000], [0x3000, 5]] as const)
    expect(() => memory.protect(at, length)).toThrow(code("QZ_MEMORY_MISALIGNED")); // prettier-ignore
});
