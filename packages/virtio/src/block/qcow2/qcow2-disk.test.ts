import fc from "fast-check";
import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { nodeInflate } from "../../node/inflate.ts";
import { pattern } from "../../testing/driver.ts";
import type { BlockBackend, HostFile } from "../backend.ts";
import { MemoryFile } from "../memory-file.ts";
import { RawDisk } from "../raw-disk.ts";
import { Qcow2Disk } from "./qcow2-disk.ts";

const KIB = 1024;

async function backing(bytes: number, seed = 99): Promise<RawDisk> {
  const file = new MemoryFile(bytes);
  await file.write(0, pattern(bytes, seed));
  return RawDisk.open(file, { readOnly: true });
}

async function contents(disk: BlockBackend): Promise<Uint8Array> {
  const all = new Uint8Array(disk.capacity);
  await disk.read(0, all);
  return all;
}

const operation = fc.record({
  kind: fc.constantFrom("write", "write", "zero", "discard", "flush", "read"),
  sector: fc.nat(),
  sectors: fc.integer({ min: 1, max: 60 }),
  seed: fc.integer({ min: 1, max: 1000 }),
});

describe("Qcow2Disk", () => {
  it("zeroes inside the short last cluster, up to the capacity → those bytes alone", async () => {
    const capacity = 100 * KIB;
    const disk = await Qcow2Disk.create(new MemoryFile(), { capacity, clusterBits: 16 });
    await disk.write(0, pattern(capacity, 3));
    await disk.writeZeroes(capacity - 10 * KIB, 10 * KIB, true);
    const expected = pattern(capacity, 3).fill(0, capacity - 10 * KIB);
    expect(await contents(disk)).toEqual(expected);
    await disk.close();
  });

  it.each([9, 12, 16])(
    "any operations on clusters of 2^%i bytes, opened again → as one flat disk",
    async (clusterBits) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(operation, { maxLength: 30 }),
          fc.boolean(),
          async (operations, backed) => {
            const capacity = 400 * KIB + 512;
            const file = new MemoryFile();
            const model = new Uint8Array(capacity);
            const base = backed ? await backing(300 * KIB) : undefined;
            if (base) model.set(pattern(300 * KIB, 99));
            const options = base ? { backing: base } : {};
            let disk = await Qcow2Disk.create(file, { capacity, clusterBits }, options);
            for (const { kind, sector, sectors, seed } of operations) {
              const offset = (sector % (capacity / 512)) * 512;
              const length = Math.min(sectors * 512, capacity - offset);
              if (kind === "write") {
                model.set(pattern(length, seed), offset);
                await disk.write(offset, pattern(length, seed));
              } else if (kind === "zero") {
                model.fill(0, offset, offset + length);
                await disk.writeZeroes(offset, length, seed % 2 === 0);
              } else if (kind === "discard") {
                await disk.discard(offset, length);
                // What a discarded range holds is open: take what is there now.
                await disk.read(offset, model.subarray(offset, offset + length));
              } else if (kind === "flush") {
                await disk.flush();
              } else {
                const seen = new Uint8Array(length);
                await disk.read(offset, seen);
                expect(Buffer.compare(seen, model.subarray(offset, offset + length))).toBe(0);
              }
            }
            expect(Buffer.compare(await contents(disk), model)).toBe(0);
            await disk.close();
            disk = await Qcow2Disk.open(file, options);
            expect(Buffer.compare(await contents(disk), model)).toBe(0);
          },
        ),
        { numRuns: 15 },
      );
    },
  );

  it("sectors of one cluster written at the same time → none is lost", async () => {
    const disk = await Qcow2Disk.create(new MemoryFile(), { capacity: 256 * KIB });
    const parts = Array.from({ length: 16 }, (_, i) => pattern(512, i + 7));
    await Promise.all(parts.map((part, i) => disk.write(65536 + 512 * i, part)));
    const seen = new Uint8Array(16 * 512);
    await disk.read(65536, seen);
    expect(Buffer.compare(seen, Buffer.concat(parts))).toBe(0);
  });

  it("discarded clusters → their space is used again after a flush", async () => {
    const file = new MemoryFile();
    const disk = await Qcow2Disk.create(file, { capacity: 8 * 1024 * KIB });
    await disk.write(0, pattern(1024 * KIB));
    await disk.flush();
    const before = await file.size();
    for (let i = 0; i < 20; i++) {
      await disk.discard(0, 1024 * KIB);
      await disk.flush();
      for (let at = 0; at < 1024 * KIB; at += 65536) await disk.write(at, pattern(65536, i + 1));
      await disk.flush();
    }
    expect((await file.size()) - before).toBeLessThan(512 * KIB);
  });

  it("the process dies before a flush → what was flushed is there, the image is sound", async () => {
    const file = new MemoryFile();
    const disk = await Qcow2Disk.create(file, { capacity: 1024 * KIB });
    await disk.write(0, pattern(65536, 1));
    await disk.flush();
    await disk.write(131072, pattern(65536, 2));
    await disk.discard(0, 65536);
    await disk.write(262144, pattern(65536, 3));
    // No close: as after a kill.
    const again = await Qcow2Disk.open(file);
    const first = new Uint8Array(65536);
    await again.read(0, first);
    expect(Buffer.compare(first, pattern(65536, 1))).toBe(0);
    await again.write(524288, pattern(65536, 4));
    await again.read(0, first);
    expect(Buffer.compare(first, pattern(65536, 1))).toBe(0);
  });

  it("the process dies between counting a cluster and writing it → the next one takes another", async () => {
    const file = new MemoryFile();
    const created = await Qcow2Disk.create(file, { capacity: 1024 * KIB });
    await created.flush();
    const size = await file.size();
    const dying: HostFile = new Proxy(file, {
      get(target, key) {
        if (key === "write")
          return (offset: number, bytes: Uint8Array) =>
            offset >= size ? Promise.reject(new Error("killed")) : file.write(offset, bytes);
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const first = await Qcow2Disk.open(dying);
    await expect(first.write(0, pattern(512))).rejects.toThrow("killed");
    const second = await Qcow2Disk.open(file);
    await second.write(0, pattern(512));
    await second.flush();
    const counts = new Uint8Array(64);
    // The one refcount block comes after header, refcount table and L1 table.
    await file.read(3 * 65536, counts);
    const view = new DataView(counts.buffer);
    expect(Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i))).toEqual([
      1, 1, 1, 1, 1, 1, 1, 0,
    ]);
  });

  it("the file cannot be written → the write fails, reads go on", async () => {
    const file = new MemoryFile();
    const created = await Qcow2Disk.create(file, { capacity: 1024 * KIB });
    await created.write(0, pattern(512));
    await created.flush();
    let full = false;
    const flaky: HostFile = new Proxy(file, {
      get(target, key) {
        if (key === "write" && full) return () => Promise.reject(new Error("no space"));
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const disk = await Qcow2Disk.open(flaky);
    full = true;
    await expect(disk.write(200 * KIB - 512, pattern(512))).rejects.toThrow("no space");
    full = false;
    const seen = new Uint8Array(512);
    await disk.read(0, seen);
    expect(Buffer.compare(seen, pattern(512))).toBe(0);
    await disk.write(200 * KIB, pattern(512));
    await disk.flush();
  });
});

describe("compressed clusters", () => {
  /** An image whose first cluster is compressed, put together by hand. */
  async function compressed(data: Uint8Array): Promise<MemoryFile> {
    const file = new MemoryFile();
    const disk = await Qcow2Disk.create(file, { capacity: 256 * KIB });
    await disk.write(0, pattern(512));
    await disk.flush();
    const packed = deflateRawSync(data);
    const at = await file.size();
    const sectors = Math.ceil((packed.length + 100) / 512);
    await file.write(at + 100, packed);
    await file.resize(at + 65536);
    // The L2 table was allocated after the data cluster, behind header, refcounts, L1 and one block.
    const l1 = new Uint8Array(8);
    await file.read(131072, l1);
    const l2 = Number(new DataView(l1.buffer).getBigUint64(0) & 0x00ff_ffff_ffff_fe00n);
    const entry = new DataView(new ArrayBuffer(8));
    const further = BigInt(sectors - 1) << BigInt(62 - 8);
    entry.setBigUint64(0, (1n << 62n) | further | BigInt(at + 100));
    await file.write(l2, new Uint8Array(entry.buffer));
    return file;
  }

  it.each([
    ["the platform's streams", {}],
    ["Node's zlib", { inflate: nodeInflate }],
  ])("read by %s → the data, then overwritten in part", async (_, options) => {
    const data = pattern(512).slice();
    const cluster = new Uint8Array(65536);
    for (let at = 0; at < cluster.length; at += 512) cluster.set(data, at);
    const disk = await Qcow2Disk.open(await compressed(cluster), { readOnly: true, ...options });
    const seen = new Uint8Array(65536);
    await disk.read(0, seen);
    expect(Buffer.compare(seen, cluster)).toBe(0);
  });

  it("damaged → QZ_VIRTIO_IMAGE for that cluster only", async () => {
    const file = await compressed(new Uint8Array(100));
    const disk = await Qcow2Disk.open(file, { readOnly: true, inflate: nodeInflate });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({
      code: "QZ_VIRTIO_IMAGE",
    });
    await disk.read(65536, new Uint8Array(512));
  });
});

describe("hostile and foreign images", () => {
  async function patched(patch: (view: DataView) => void): Promise<MemoryFile> {
    const file = new MemoryFile();
    await Qcow2Disk.create(file, { capacity: 1024 * KIB });
    const header = new Uint8Array(200);
    await file.read(0, header);
    patch(new DataView(header.buffer));
    await file.write(0, header);
    return file;
  }

  it.each<[string, (view: DataView) => void]>([
    ["another magic", (v) => v.setUint32(0, 0x12345678)],
    ["version 4", (v) => v.setUint32(4, 4)],
    ["clusters of 2 bytes", (v) => v.setUint32(20, 1)],
    ["clusters of 2^40 bytes", (v) => v.setUint32(20, 40)],
    ["encryption", (v) => v.setUint32(32, 1)],
    ["an external data file", (v) => v.setBigUint64(72, 4n)],
    ["zstd", (v) => v.setBigUint64(72, 8n)],
    ["extended L2 entries", (v) => v.setBigUint64(72, 16n)],
    ["an unknown feature", (v) => v.setBigUint64(72, 1n << 60n)],
    ["dirty", (v) => v.setBigUint64(72, 1n)],
    ["corrupt", (v) => v.setBigUint64(72, 2n)],
    ["snapshots", (v) => v.setUint32(60, 1)],
    ["an L1 table too short", (v) => v.setUint32(36, 0)],
    ["an L1 table of 4 Gi entries", (v) => v.setUint32(36, 0xffffffff)],
    ["an L1 table past the end", (v) => v.setBigUint64(40, 1n << 40n)],
    ["an L1 table misaligned", (v) => v.setBigUint64(40, 131072n + 512n)],
    ["a disk of 2^63 bytes", (v) => v.setBigUint64(24, 1n << 63n)],
    ["a refcount table of 4 Gi clusters", (v) => v.setUint32(56, 0xffffffff)],
    ["a refcount table past the end", (v) => v.setBigUint64(48, 1n << 50n)],
    ["reference counts of 2^32 bits", (v) => v.setUint32(96, 32)],
    ["a header of 4 GiB", (v) => v.setUint32(100, 0xffffffff)],
    [
      "a backing name of 4 GiB",
      (v) => {
        v.setBigUint64(8, 120n);
        v.setUint32(16, 0xffffffff);
      },
    ],
  ])("%s → QZ_VIRTIO_IMAGE", async (_, patch) => {
    await expect(Qcow2Disk.open(await patched(patch))).rejects.toMatchObject({
      code: "QZ_VIRTIO_IMAGE",
    });
  });

  it("a backing file named inside → refused, whatever it names; never opened", async () => {
    const file = new MemoryFile();
    await expect(
      Qcow2Disk.create(file, { capacity: 64 * KIB, backingName: "/etc/shadow" }),
    ).rejects.toMatchObject({
      code: "QZ_VIRTIO_IMAGE_BACKING",
      details: { backing: "/etc/shadow" },
    });
  });

  it("mappings outside the file → an error for the read, no crash", async () => {
    const file = new MemoryFile();
    const disk = await Qcow2Disk.create(file, { capacity: 1024 * KIB });
    const entry = new DataView(new ArrayBuffer(8));
    entry.setBigUint64(0, 0x8000_ffff_ffff_fe00n);
    await file.write(131072, new Uint8Array(entry.buffer));
    const hostile = await Qcow2Disk.open(file);
    await expect(hostile.read(0, new Uint8Array(512))).rejects.toMatchObject({
      code: "QZ_VIRTIO_IMAGE",
    });
    await disk.read(0, new Uint8Array(512));
  });

  it.each([0, 513, -512, 2 ** 60])("an image of %d bytes → QZ_VIRTIO_OPTIONS", async (capacity) => {
    await expect(
      Qcow2Disk.create(new MemoryFile(), { capacity, clusterBits: 40 }),
    ).rejects.toMatchObject({
      code: "QZ_VIRTIO_OPTIONS",
    });
  });
});
