import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SeededEntropy } from "./entropy.ts";
import { GuestMemory, PAGE_BYTES, PageAttribute } from "./guest-memory.ts";
import { inspectSnapshot, restoreMemory, saveMemory } from "./snapshot.ts";
import type { SnapshotSink, SnapshotSource } from "./snapshot.ts";

const PAGES = 32;
const RAM = PAGES * PAGE_BYTES;
const entropy = new SeededEntropy(3);
const code = (name: string) => expect.toSatisfy((e) => isQueztlError(e, name));
const BAD = code("QZ_MEMORY_SNAPSHOT");
const create = (ramBytes = RAM) => new GuestMemory({ ramBytes });
const same = (a: GuestMemory, b: GuestMemory) =>
  Buffer.compare(
    Buffer.from(a.bytes.buffer, a.ramOffset, RAM),
    Buffer.from(b.bytes.buffer, b.ramOffset, RAM),
  ) === 0;

/** A file in memory that knows how much was written and read. */
class Image implements SnapshotSink, SnapshotSource {
  bytes: Uint8Array = new Uint8Array(65536 + RAM);
  written = 0;
  taken = 0;

  write(position: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, position);
    this.written += bytes.length;
  }

  read(position: number, target: Uint8Array): void {
    if (position + target.length > this.bytes.length) throw new Error("too short");
    target.set(this.bytes.subarray(position, position + target.length));
    this.taken += target.length;
  }
}

async function saved(memory: GuestMemory, increment?: { parent: string; pages: number[] }) {
  const image = new Image();
  const snapshot = await saveMemory(memory, image, { entropy, ...(increment && { increment }) });
  return { image, snapshot };
}

test("any contents → restored exactly, over anything, and zero pages are not stored", async () => {
  const page = fc.integer({ min: 0, max: PAGES - 1 });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(page), fc.array(page), async (used, garbage) => {
      const a = create();
      for (const p of used) a.writeUint8(p * PAGE_BYTES + (p * 97) % PAGE_BYTES, p + 1);
      const { image, snapshot } = await saved(a);
      expect(snapshot.storedPages).toBe(used.length);
      expect(image.written).toBe(used.length * PAGE_BYTES + PAGES + 4096);
      const b = create();
      for (const p of garbage) b.writeView(p * PAGE_BYTES, PAGE_BYTES).fill(0xee);
      const told = await restoreMemory(b, image);
      expect(told).toEqual(snapshot);
      expect(same(a, b)).toBe(true);
    }),
    { numRuns: 25 },
  ); // prettier-ignore
});

test("a whole snapshot and increments → the last state, each page read once", async () => {
  const a = create();
  a.writeView(0, 8 * PAGE_BYTES).fill(1);
  const base = await saved(a);
  a.startDirtyTracking();
  a.writeView(PAGE_BYTES, PAGE_BYTES).fill(2);
  a.writeView(2 * PAGE_BYTES, PAGE_BYTES).fill(0);
  a.writeView(9 * PAGE_BYTES, PAGE_BYTES).fill(3);
  const first = await saved(a, { parent: base.snapshot.id, pages: a.takeDirtyPages() });
  expect(first.snapshot).toMatchObject({ storedPages: 2, parent: base.snapshot.id });
  a.writeView(PAGE_BYTES, PAGE_BYTES).fill(4);
  const second = await saved(a, { parent: first.snapshot.id, pages: a.takeDirtyPages() });
  const b = create();
  const chain = [base.image, first.image, second.image];
  await restoreMemory(b, chain);
  expect(same(a, b)).toBe(true);
  const pagesRead = chain.map((image) => Math.floor((image.taken - 4096 - PAGES) / PAGE_BYTES));
  expect(pagesRead).toEqual([6, 1, 1]);
});

test("increments in the wrong order, without their base, or of another → coded errors", async () => {
  const a = create();
  const base = await saved(a);
  const other = await saved(a);
  const first = await saved(a, { parent: base.snapshot.id, pages: [] });
  const second = await saved(a, { parent: first.snapshot.id, pages: [] });
  const images = (...all: { image: Image }[]) => all.map((s) => s.image);
  for (const chain of [
    [],
    images(first),
    images(base, second),
    images(other, first),
    images(base, second, first),
    images(base, other),
    Array.from({ length: 256 }, () => base.image),
  ])
    await expect(restoreMemory(create(), chain)).rejects.toThrow(BAD);
  await restoreMemory(create(), images(base, first, second));
});

test("read-only pages → read-only again after a restore, and only those", async () => {
  const a = create();
  a.protect(3 * PAGE_BYTES, 2 * PAGE_BYTES);
  const { image } = await saved(a);
  const b = create();
  b.protect(0, PAGE_BYTES);
  let told = 0;
  b.onProtect(() => told++);
  await restoreMemory(b, image);
  const readOnly = [...b.pageAttributes.keys()].filter(
    (page) => (b.pageAttributes[page] as number) & PageAttribute.ReadOnly,
  );
  expect(readOnly).toEqual([3, 4]);
  expect(told).toBeGreaterThan(0);
});

test("a restore → cached code is told, every page counts as written", async () => {
  const { image } = await saved(create());
  const b = create();
  b.startDirtyTracking();
  b.pageAttributes[5] = PageAttribute.Code | PageAttribute.Clean;
  const heard: number[] = [];
  b.onCodeWrite((offset) => heard.push((offset - b.ramOffset) / PAGE_BYTES));
  await restoreMemory(b, image);
  expect(heard).toEqual([5]);
  expect(b.takeDirtyPages().length).toBe(PAGES);
});

test("another size, another version, no snapshot at all → coded errors that say which", async () => {
  const { image, snapshot } = await saved(create());
  await expect(restoreMemory(create(2 * RAM), image)).rejects.toThrow(/262144/);
  expect(await inspectSnapshot(image)).toEqual(snapshot);
  image.bytes[8] = 9;
  await expect(restoreMemory(create(), image)).rejects.toThrow(/version 9/);
  await expect(restoreMemory(create(), new Image())).rejects.toThrow(BAD);
});

test("any damaged byte of header or table → coded error before the memory is touched", async () => {
  const a = create();
  a.writeUint8(PAGE_BYTES, 1);
  const { image } = await saved(a);
  const used = fc.oneof(
    fc.integer({ min: 0, max: 96 }),
    fc.integer({ min: 4088, max: 4096 + PAGES - 1 }),
  );
  await fc.assert(
    fc.asyncProperty(used, fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const damaged = new Image();
      damaged.bytes = image.bytes.slice();
      damaged.bytes[at] = (damaged.bytes[at] as number) ^ flip;
      const b = create();
      b.writeUint8(0, 0x77);
      await expect(restoreMemory(b, damaged)).rejects.toThrow(BAD);
      expect(b.readUint8(0)).toBe(0x77);
    }),
    { numRuns: 60 },
  );
});

test("a save that stops before its end → not taken for a snapshot", async () => {
  const a = create();
  a.writeUint8(0, 1);
  const image = new Image();
  const sink: SnapshotSink = {
    write: (position, bytes) => {
      if (position === 0) throw new Error("disk full");
      image.write(position, bytes);
    },
  };
  await expect(saveMemory(a, sink)).rejects.toThrow("disk full");
  await expect(inspectSnapshot(image)).rejects.toThrow(BAD);
});

test("a page or a parent that cannot be → coded errors", async () => {
  const a = create();
  const id = "0123456789abcdef0123456789abcdef";
  for (const pages of [[RAM], [-4096], [1], [NaN]])
    await expect(saved(a, { parent: id, pages })).rejects.toThrow(code("QZ_MEMORY_OUT_OF_RANGE"));
  await expect(saved(a, { parent: "mine", pages: [] })).rejects.toThrow(BAD);
});
