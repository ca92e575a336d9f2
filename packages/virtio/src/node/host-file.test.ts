import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pattern } from "../testing/driver.ts";
import { NodeFile } from "./host-file.ts";
import { holePuncher } from "./punch-hole.ts";

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
    expect(punched).toBe((await holePuncher()) !== undefined);
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
