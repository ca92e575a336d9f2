import { mkdtemp, readdir, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  GuestMemory,
  HIGH_RAM_BASE,
  LOW_RAM_TOP,
  MAX_RAM_BYTES,
  PAGE_BYTES,
} from "../guest-memory.ts";
import {
  HostMemory,
  inspectSnapshotFile,
  restoreSnapshotFile,
  writeSnapshotFile,
} from "../node.ts";

const MIB = 1024 * 1024;
const RAM = 16 * MIB;
const FILE = expect.toSatisfy((e) => isQueztlError(e, "QZ_MEMORY_SNAPSHOT_FILE"));
const create = (ramBytes = RAM) => new GuestMemory({ ramBytes });
const canMap = (await HostMemory.open(create(65536))).available;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "queztl-memory-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

function filled() {
  const memory = create();
  for (let i = 0; i < 100; i++) memory.writeView(i * 40 * PAGE_BYTES, PAGE_BYTES).fill(i + 1);
  return memory;
}

const same = (a: GuestMemory, b: GuestMemory) =>
  Buffer.compare(
    Buffer.from(a.bytes.buffer, a.ramOffset, RAM),
    Buffer.from(b.bytes.buffer, b.ramOffset, RAM),
  ) === 0;

test("a memory → a sparse file, and back", async () => {
  const a = filled();
  const snapshot = await writeSnapshotFile(at("whole"), a);
  expect(snapshot.storedPages).toBe(100);
  const { size, blocks } = await stat(at("whole"));
  expect(size).toBe(snapshot.bytes);
  expect(blocks * 512).toBeLessThan(2 * MIB);
  expect(await inspectSnapshotFile(at("whole"))).toEqual(snapshot);
  const b = create();
  const restored = await restoreSnapshotFile(b, at("whole"));
  expect(restored).toEqual({ ...snapshot, mapped: false, baseId: snapshot.id, changedPages: [] });
  expect(same(a, b)).toBe(true);
  expect((await readdir(folder)).filter((name) => name.endsWith(".partial"))).toEqual([]);
});

test("a guest with RAM above 4 GiB → its few pages, however large it is", async () => {
  const a = create(MAX_RAM_BYTES - 256 * MIB);
  const high = HIGH_RAM_BASE + (MAX_RAM_BYTES - 256 * MIB - LOW_RAM_TOP) - 8;
  a.writeUint64(high, 0x1122334455667788n);
  a.startDirtyTracking();
  a.writeUint64(0x5000, 1n);
  const pages = a.takeDirtyPages();
  const parent = "00112233445566778899aabbccddeeff";
  const snapshot = await writeSnapshotFile(at("high"), a, { increment: { parent, pages } });
  expect(snapshot).toMatchObject({ storedPages: 1, parent });
  expect((await stat(at("high"))).blocks * 512).toBeLessThan(4 * MIB);
});

test("files that are missing, cut off or something else → coded errors, the memory untouched", async () => {
  await writeSnapshotFile(at("cut"), filled());
  await truncate(at("cut"), 3 * MIB);
  await writeFile(at("text"), "hello");
  const memory = create();
  memory.writeUint8(0, 0x77);
  const host = await HostMemory.open(memory);
  for (const name of ["missing", "cut", "text"]) {
    for (const options of [{}, { host }])
      await expect(restoreSnapshotFile(memory, at(name), options)).rejects.toThrow(FILE);
  }
  await writeFile(at("other"), Buffer.alloc(200_000, 1));
  await expect(restoreSnapshotFile(memory, at("other"))).rejects.toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_MEMORY_SNAPSHOT")),
  );
  expect(memory.readUint8(0)).toBe(0x77);
  await expect(writeSnapshotFile(join(folder, "no", "folder"), memory)).rejects.toThrow(FILE);
});

test("a guest on a host that cannot map → restored by reading, nothing given back", async () => {
  const a = filled();
  await writeSnapshotFile(at("plain"), a);
  const b = create();
  const nothing = { mapRam: () => false } as unknown as HostMemory;
  expect(await restoreSnapshotFile(b, at("plain"), { host: nothing })).toMatchObject({
    mapped: false,
  });
  expect(same(a, b)).toBe(true);
});

test.skipIf(!canMap)(
  "mapped → the same bytes, private to each guest, and the file may go",
  async () => {
    const a = filled();
    await writeSnapshotFile(at("mapped"), a);
    const [b, c] = [create(), create()];
    for (const memory of [b, c]) {
      memory.writeView(0, RAM).fill(0xee);
      const host = await HostMemory.open(memory);
      expect(await restoreSnapshotFile(memory, at("mapped"), { host })).toMatchObject({
        mapped: true,
      });
    }
    await unlink(at("mapped"));
    expect(same(a, b)).toBe(true);
    b.writeView(0, 8 * PAGE_BYTES).fill(0x99);
    expect(same(a, c)).toBe(true);
    expect(b.readUint8(0)).toBe(0x99);
    expect(b.bytes.subarray(0, b.ramOffset).some((byte) => byte === 0x99)).toBe(false);
  },
);

test.skipIf(!canMap)("mapped with increments → their pages over it, zero ones too", async () => {
  const a = filled();
  const base = await writeSnapshotFile(at("base"), a);
  a.startDirtyTracking();
  a.writeView(0, PAGE_BYTES).fill(0);
  a.writeView(40 * PAGE_BYTES, 3 * PAGE_BYTES).fill(0xab);
  const increment = { parent: base.id, pages: a.takeDirtyPages() };
  await writeSnapshotFile(at("increment"), a, { increment });
  const b = create();
  const host = await HostMemory.open(b);
  await restoreSnapshotFile(b, [at("base"), at("increment")], { host });
  expect(same(a, b)).toBe(true);
});

test.skipIf(!canMap)(
  "written pages of a mapped guest → told; what they hold and increments of increments → restored",
  async () => {
    const a = filled();
    const base = await writeSnapshotFile(at("grand"), a);
    const open = async (...names: string[]) => {
      const memory = create();
      const host = await HostMemory.open(memory);
      expect(host.ownPages()).toBeUndefined();
      const restored = await restoreSnapshotFile(memory, names.map(at), { host });
      expect(restored).toMatchObject({ mapped: true, baseId: base.id });
      return { memory, host, restored };
    };
    const b = await open("grand");
    expect(b.host.ownPages()).toEqual([]);
    b.memory.readUint8(80 * PAGE_BYTES);
    b.memory.writeUint8(40 * PAGE_BYTES + 5, 0x42);
    b.memory.writeView(1000 * PAGE_BYTES, 600 * PAGE_BYTES).fill(7);
    const own = b.host.ownPages() as number[];
    expect(own).toEqual([40, ...Array.from({ length: 600 }, (_, i) => 1000 + i)].map((page) => page * PAGE_BYTES)); // prettier-ignore
    const first = { parent: base.id, pages: own };
    expect((await writeSnapshotFile(at("child"), b.memory, { increment: first })).storedPages).toBe(
      601,
    );

    const c = await open("grand", "child");
    expect(same(b.memory, c.memory)).toBe(true);
    expect(c.restored.changedPages).toEqual(own);
    expect(c.host.ownPages()).toEqual([]);
    c.memory.writeView(1100 * PAGE_BYTES, PAGE_BYTES).fill(0);
    c.memory.writeUint8(0, 0x99);
    const both = [...new Set([...own, ...(c.host.ownPages() as number[])])];
    expect(both).toHaveLength(602);
    const second = { parent: base.id, pages: both };
    await writeSnapshotFile(at("grandchild"), c.memory, { increment: second });
    const d = await open("grand", "grandchild");
    expect(same(c.memory, d.memory)).toBe(true);
    expect(d.memory.readUint8(1100 * PAGE_BYTES)).toBe(0);
  },
);

test.skipIf(!canMap)(
  "a mapped guest saved over its own file → the mapping keeps the old one",
  async () => {
    await writeSnapshotFile(at("self"), filled());
    const b = create();
    const host = await HostMemory.open(b);
    await restoreSnapshotFile(b, at("self"), { host });
    b.writeUint8(5, 0x42);
    await writeSnapshotFile(at("self"), b);
    const c = create();
    await restoreSnapshotFile(c, at("self"));
    expect(same(b, c)).toBe(true);
    expect(c.readUint8(5)).toBe(0x42);
  },
);

test.skipIf(!canMap)(
  "discarded pages → zeros, or the mapped snapshot's; code told, ROM kept",
  async () => {
    const memory = filled();
    const host = await HostMemory.open(memory);
    const heard: number[] = [];
    memory.onCodeWrite((_offset, length) => heard.push(length));
    memory.pageAttributes[40] = 1;
    expect(host.discard(40 * PAGE_BYTES, PAGE_BYTES)).toBe(true);
    expect(heard).toEqual([PAGE_BYTES]);
    expect(memory.readUint8(40 * PAGE_BYTES)).toBe(0);
    // Only whole pages.
    expect(host.discard(80 * PAGE_BYTES + 1, PAGE_BYTES)).toBe(false);
    expect(memory.readUint8(80 * PAGE_BYTES)).toBe(3);
    memory.protect(80 * PAGE_BYTES, PAGE_BYTES);
    expect(host.discard(80 * PAGE_BYTES, PAGE_BYTES)).toBe(false);
    expect(memory.readUint8(80 * PAGE_BYTES)).toBe(3);
    await writeSnapshotFile(at("discard"), memory);
    await restoreSnapshotFile(memory, at("discard"), { host });
    memory.writeUint8(120 * PAGE_BYTES, 0x55);
    expect(host.discard(120 * PAGE_BYTES, PAGE_BYTES)).toBe(true);
    expect(memory.readUint8(120 * PAGE_BYTES)).toBe(4);
  },
);

test("pages outside RAM → cannot be discarded", async () => {
  const memory = create();
  const host = await HostMemory.open(memory);
  for (const [address, length] of [[RAM, PAGE_BYTES], [-4096, 4096], [0, RAM + 1], [NaN, 1]] as const)
    expect(() => host.discard(address, length)).toThrow(
      expect.toSatisfy((e) => isQueztlError(e, "QZ_MEMORY_OUT_OF_RANGE")),
    ); // prettier-ignore
});

test("RAM in a memory of 64-bit addresses → saved, read and mapped as any other", async () => {
  const wide = () => new GuestMemory({ ramBytes: RAM, wide: true });
  const a = wide();
  const last = RAM - 8;
  a.writeUint64(0x1000, 76n);
  a.startDirtyTracking();
  a.writeUint64(last, 77n);
  expect(a.takeDirtyPages()).toEqual([RAM - PAGE_BYTES]);
  const { storedPages } = await writeSnapshotFile(at("wide"), a);
  expect(storedPages).toBe(2);
  const b = wide();
  const host = await HostMemory.open(b);
  const { mapped } = await restoreSnapshotFile(b, at("wide"), { host });
  expect(mapped).toBe(host.available);
  expect([b.readUint64(0x1000), b.readUint64(last), b.readUint64(0x2000)]).toEqual([76n, 77n, 0n]);
  b.writeUint64(last, 78n);
  expect(a.readUint64(last)).toBe(77n);
});
