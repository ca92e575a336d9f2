import { MemoryFile, OverlayDisk, RawDisk } from "@queztl/virtio";
import fc from "fast-check";
import { expect, test } from "vitest";
import { DiskQuota, QuotaFile } from "./quota-file.ts";

const CLUSTER = 4096;
const CLUSTERS = 64;
const BYTES = CLUSTERS * CLUSTER;

async function overlay(quota: DiskQuota, map = new MemoryFile(CLUSTERS / 8)) {
  const base = await RawDisk.open(new MemoryFile(BYTES));
  const file = await QuotaFile.open(new MemoryFile(BYTES), map, quota);
  return await OverlayDisk.open({ base, file, map });
}

const full = { code: "QZ_HYPERVISOR_VM_LIMIT", status: "exhausted" };

test("any writes → never more clusters than the quota, and as many as were written", async () => {
  const write = fc.record({
    sector: fc.nat(BYTES / 512 - 1),
    sectors: fc.integer({ min: 1, max: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(write),
      fc.integer({ min: 1, max: CLUSTERS }),
      async (writes, limit) => {
        let told = 0;
        const quota = new DiskQuota(limit * CLUSTER, () => told++);
        const disk = await overlay(quota);
        let refused = false;
        for (const { sector, sectors } of writes) {
          const end = Math.min(BYTES, (sector + sectors) * 512);
          const bytes = new Uint8Array(end - sector * 512).fill(1);
          await disk.write(sector * 512, bytes).catch((error: unknown) => {
            expect(error).toMatchObject(full);
            refused = true;
          });
          expect(quota.used).toBeLessThanOrEqual(limit * CLUSTER);
        }
        expect(told).toBe(refused ? 1 : 0);
        const dirty = disk
          .dirtyMap()
          .bits.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
        if (!refused) expect(quota.used).toBe(dirty * CLUSTER);
      },
    ),
  );
});

test("clusters that are written again → not counted again; beyond the quota they still can be", async () => {
  const quota = new DiskQuota(2 * CLUSTER, () => undefined);
  const disk = await overlay(quota);
  await disk.write(0, new Uint8Array(2 * CLUSTER).fill(1));
  await expect(disk.write(2 * CLUSTER, new Uint8Array(512))).rejects.toMatchObject(full);
  await disk.write(CLUSTER, new Uint8Array(CLUSTER).fill(2));
  expect(quota.used).toBe(2 * CLUSTER);
});

test("an overlay that is opened again → what it holds counts, also where that is more than the quota", async () => {
  const map = new MemoryFile(CLUSTERS / 8);
  await map.write(0, Uint8Array.of(0b111));
  const quota = new DiskQuota(CLUSTER, () => undefined);
  const disk = await overlay(quota, map);
  expect(quota.used).toBe(3 * CLUSTER);
  await disk.write(CLUSTER, new Uint8Array(CLUSTER));
  await expect(disk.write(8 * CLUSTER, new Uint8Array(512))).rejects.toMatchObject(full);
});

test("two disks with one quota → together", async () => {
  const quota = new DiskQuota(3 * CLUSTER, () => undefined);
  const [one, two] = [await overlay(quota), await overlay(quota)];
  await one.write(0, new Uint8Array(2 * CLUSTER));
  await two.write(0, new Uint8Array(CLUSTER));
  await expect(two.write(CLUSTER, new Uint8Array(CLUSTER))).rejects.toMatchObject(full);
});
