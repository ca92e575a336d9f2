import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pattern } from "../testing/driver.ts";
import { MemoryFile } from "./memory-file.ts";
import { OverlayDisk } from "./overlay-disk.ts";
import { RawDisk } from "./raw-disk.ts";

const CAPACITY = 128 * 1024 + 512;

async function made(clusterBytes = 4096) {
  const baseFile = new MemoryFile(CAPACITY);
  await baseFile.write(0, pattern(CAPACITY));
  const base = await RawDisk.open(baseFile, { readOnly: true });
  const file = new MemoryFile();
  const map = new MemoryFile();
  const overlay = await OverlayDisk.open({ base, file, map, clusterBytes });
  return { base, baseFile, file, map, overlay };
}

const operation = fc.record({
  kind: fc.constantFrom("write", "zero", "read"),
  sector: fc.integer({ min: 0, max: CAPACITY / 512 - 1 }),
  sectors: fc.integer({ min: 1, max: 40 }),
  seed: fc.integer({ min: 1, max: 1000 }),
});

describe("OverlayDisk", () => {
  it("any writes, zeroes and reads at once → as one flat disk; the base is untouched", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
        const { baseFile, overlay } = await made();
        const model = pattern(CAPACITY).slice();
        for (const { kind, sector, sectors, seed } of operations) {
          const offset = sector * 512;
          const length = Math.min(sectors * 512, CAPACITY - offset);
          const cut = seed % length;
          if (kind === "write") {
            const data = pattern(length, seed);
            model.set(data, offset);
            if (seed % 2 === 0) await overlay.write(offset, data);
            else await overlay.writeVector(offset, [data.subarray(0, cut), data.subarray(cut)]);
          } else if (kind === "zero") {
            model.fill(0, offset, offset + length);
            await overlay.writeZeroes(offset, length, seed % 2 === 0);
          }
          const seen = new Uint8Array(length);
          const parts = [seen.subarray(0, cut), seen.subarray(cut)];
          if (seed % 3 === 0) await overlay.read(offset, seen);
          else if (seed % 3 === 1) await overlay.readVector(offset, parts);
          else expect(overlay.readCached(offset, parts)).toBe(true);
          expect(Buffer.compare(seen, model.subarray(offset, offset + length))).toBe(0);
        }
        const all = new Uint8Array(CAPACITY);
        await overlay.read(0, all);
        expect(Buffer.compare(all, model)).toBe(0);
        await baseFile.read(0, all);
        expect(Buffer.compare(all, pattern(CAPACITY))).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  it("sectors of one cluster written at the same time → none is lost", async () => {
    const { overlay } = await made();
    const parts = Array.from({ length: 8 }, (_, i) => pattern(512, i + 50));
    await Promise.all(parts.map((part, i) => overlay.write(4096 + 512 * i, part)));
    const seen = new Uint8Array(4096);
    await overlay.read(4096, seen);
    expect(Buffer.compare(seen, Buffer.concat(parts))).toBe(0);
  });

  it("flushed and opened again with its map → the writes are there", async () => {
    const { base, file, map, overlay } = await made();
    await overlay.write(8192, pattern(4096, 9));
    expect(map.storedBytes).toBe(0);
    await overlay.flush();
    const again = await OverlayDisk.open({ base, file, map, clusterBytes: 4096 });
    const seen = new Uint8Array(4096);
    await again.read(8192, seen);
    expect(Buffer.compare(seen, pattern(4096, 9))).toBe(0);
    expect(again.dirtyMap()).toEqual(overlay.dirtyMap());
  });

  it("written clusters → exactly they are in the dirty map", async () => {
    const { overlay } = await made();
    await overlay.write(4096 * 3 + 512, pattern(512));
    await overlay.write(4096 * 9, pattern(8192));
    const { bits } = overlay.dirtyMap();
    const set = Array.from({ length: 33 }, (_, i) => i).filter(
      (i) => ((bits[i >> 3] ?? 0) >> (i & 7)) & 1,
    );
    expect(set).toEqual([3, 9, 10]);
  });

  it("the map cannot be written → flush fails, and the next one tries again", async () => {
    const { base, file } = await made();
    const map = new MemoryFile();
    let failing = true;
    const flaky = new Proxy(map, {
      get(target, key) {
        if (key === "write" && failing) return () => Promise.reject(new Error("disk full"));
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const overlay = await OverlayDisk.open({ base, file, map: flaky });
    await overlay.write(0, pattern(4096));
    await expect(overlay.flush()).rejects.toThrow("disk full");
    failing = false;
    await overlay.flush();
    const bits = new Uint8Array(1);
    await map.read(0, bits);
    expect(bits[0]).toBe(1);
  });

  it("a cluster size that is no power of two → QZ_VIRTIO_OPTIONS", async () => {
    await expect(made(5000)).rejects.toMatchObject({ code: "QZ_VIRTIO_OPTIONS" });
  });
});
