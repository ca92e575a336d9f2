import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pattern } from "../testing/driver.ts";
import { NodeFile } from "./host-file.ts";
import { fileCalls } from "./libc.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "queztl-virtio-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("NodeFile", () => {
  it("made, written, closed, opened again → the bytes; past the end zeroes", async () => {
    const path = join(folder, "a");
    const file = await NodeFile.open(path, { create: { size: 8192 } });
    await file.write(4000, pattern(500));
    await file.sync();
    await file.close();
    const again = await NodeFile.open(path, { readOnly: true });
    expect(await again.size()).toBe(8192);
    const seen = new Uint8Array(500);
    await again.read(4000, seen);
    expect(Buffer.compare(seen, pattern(500))).toBe(0);
    await again.read(8000, seen);
    expect(seen.every((byte) => byte === 0)).toBe(true);
    await expect(again.write(0, seen)).rejects.toMatchObject({ code: "QZ_VIRTIO_DISK_IO" });
    await again.close();
    await expect(again.read(0, seen)).rejects.toMatchObject({ code: "QZ_VIRTIO_CLOSED" });
  });

  it("several buffers, in memory that is shared → as one; past the end zeroes", async () => {
    const file = await NodeFile.open(join(folder, "several"), { create: { size: 8192 } });
    const shared = new Uint8Array(new SharedArrayBuffer(1 << 16)).fill(7);
    // More than the host takes in one call.
    const views = Array.from({ length: 2000 }, (_, i) =>
      shared.subarray(32 * i, 32 * i + 3 + (i % 9)),
    );
    const sources = views.map((view, i) => pattern(view.length, i + 1));
    await file.writeVector(5, sources);
    await file.readVector(5, views);
    expect(views.map((view) => view.slice())).toEqual(sources);
    expect(shared[31]).toBe(7);
    const end = await file.size();
    const last = [new Uint8Array(4).fill(1), new Uint8Array(4).fill(1), new Uint8Array(4).fill(1)];
    await file.readVector(end - 6, last);
    expect(Buffer.concat(last).subarray(6)).toEqual(Buffer.alloc(6));
    await file.close();
    await expect(file.readVector(0, last)).rejects.toMatchObject({ code: "QZ_VIRTIO_CLOSED" });
  });

  it("what the page cache has → at once where the host tells, and only whole", async () => {
    const path = join(folder, "cached");
    const file = await NodeFile.open(path, { create: { size: 20_000 } });
    await file.write(4000, pattern(16_000));
    const shared = new Uint8Array(new SharedArrayBuffer(65536));
    const views = [
      shared.subarray(7, 4107),
      shared.subarray(20_000, 20_001),
      shared.subarray(9, 9),
    ];
    const other = await open(path);
    const told = (await fileCalls())?.readCached?.(other.fd, 0, views) ?? "never";
    await other.close();
    shared.fill(7);
    expect(file.readCached(5000, views)).toBe(told !== "never");
    const expected = new Uint8Array(65536).fill(7);
    if (told !== "never") {
      expected.set(pattern(16_000).subarray(1000, 5100), 7);
      expected.set(pattern(16_000).subarray(5100, 5101), 20_000);
    }
    expect(Buffer.compare(shared, expected)).toBe(0);
    expect(file.readCached(19_000, views)).toBe(false);
    expect(file.readCached(5000, [new Uint8Array(8)])).toBe(false);
    expect(
      file.readCached(
        0,
        Array.from({ length: 1025 }, () => shared.subarray(0, 1)),
      ),
    ).toBe(false);
    await file.close();
    expect(file.readCached(5000, views)).toBe(false);
  });

  it("a file that is not there → QZ_VIRTIO_DISK_IO with the host's reason", async () => {
    await expect(NodeFile.open(join(folder, "none"))).rejects.toMatchObject({
      code: "QZ_VIRTIO_DISK_IO",
      cause: { code: "ENOENT" },
    });
  });

  it("a punched hole → zeroes and less space where the host can, nothing changed where it cannot", async () => {
    const path = join(folder, "hole");
    const file = await NodeFile.open(path, { create: { size: 1 << 20 } });
    await file.write(0, pattern(1 << 20));
    await file.sync();
    const before = (await stat(path)).blocks;
    const punched = await file.punchHole(65536, 524288);
    await file.sync();
    expect(punched).toBe((await fileCalls()) !== undefined);
    const seen = new Uint8Array(524288);
    await file.read(65536, seen);
    const expected = pattern(1 << 20);
    if (punched) expected.fill(0, 65536, 65536 + 524288);
    expect(Buffer.compare(seen, expected.subarray(65536, 65536 + 524288))).toBe(0);
    const after = (await stat(path)).blocks;
    if (punched) expect(after).toBeLessThan(before);
    else expect(after).toBe(before);
    await file.close();
  });
});
