import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Qcow2Disk } from "../block/qcow2/qcow2-disk.ts";
import { RawDisk } from "../block/raw-disk.ts";
import { pattern } from "../testing/driver.ts";
import { NodeFile } from "./host-file.ts";
import { nodeInflate } from "./inflate.ts";

/** QEMU's own implementation, the other side of these tests; without it they are skipped. */
const hasQemu = (() => {
  try {
    execFileSync("qemu-img", ["--version"]);
    return true;
  } catch {
    return false;
  }
})();

const MIB = 1024 * 1024;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queztl-qcow2-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
const qemu = (...args: string[]) =>
  execFileSync("qemu-img", args, { encoding: "utf8", stdio: "pipe" });

/** QEMU's verdict: throws on errors; returns how many clusters leak. */
function check(path: string): number {
  const out = JSON.parse(qemu("check", "--output=json", path)) as { leaks?: number };
  return out.leaks ?? 0;
}

/** What QEMU reads from an image. */
function asRaw(path: string): Buffer {
  qemu("convert", "-O", "raw", path, at("raw-out"));
  return readFileSync(at("raw-out"));
}

function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return Math.floor((x / 2 ** 32) * below);
  };
}

/** Changes a disk at random, and the model with it. */
async function scribble(disk: Qcow2Disk, model: Uint8Array, seed: number): Promise<void> {
  const next = random(seed);
  for (let i = 0; i < 150; i++) {
    const offset = next(disk.capacity / 512) * 512;
    const length = Math.min((1 + next(i % 10 === 0 ? 800 : 40)) * 512, disk.capacity - offset);
    const kind = next(10);
    if (kind < 7) {
      const data = pattern(length, i + 1);
      model.set(data, offset);
      await disk.write(offset, data);
    } else if (kind < 9) {
      model.fill(0, offset, offset + length);
      await disk.writeZeroes(offset, length, kind === 8);
    } else {
      await disk.flush();
    }
  }
}

describe.skipIf(!hasQemu)("beside qemu-img", () => {
  it.each([
    ["clusters of 64 KiB", []],
    ["clusters of 512 bytes", ["cluster_size=512"]],
    ["clusters of 2 MiB", ["cluster_size=2M"]],
    ["version 2", ["compat=0.10"]],
    ["reference counts of 1 bit", ["refcount_bits=1"]],
    ["reference counts of 64 bits", ["refcount_bits=64"]],
    ["preallocated metadata", ["preallocation=metadata"]],
  ])("its image of %s, written here → it finds no error and reads the same", async (_, options) => {
    const path = at("theirs.qcow2");
    const args = options.flatMap((option) => ["-o", option]);
    qemu("create", "-q", "-f", "qcow2", ...args, path, "24M");
    const disk = await Qcow2Disk.open(await NodeFile.open(path));
    const model = new Uint8Array(24 * MIB);
    await scribble(disk, model, 5);
    await disk.close();
    expect(check(path)).toBe(0);
    expect(Buffer.compare(asRaw(path), model)).toBe(0);
  });

  it.each([9, 16, 21])(
    "our image of clusters of 2^%i → it finds no error and reads the same",
    async (bits) => {
      const path = at("ours.qcow2");
      const file = await NodeFile.open(path, { create: { size: 512 } });
      const disk = await Qcow2Disk.create(file, { capacity: 24 * MIB, clusterBits: bits });
      const model = new Uint8Array(24 * MIB);
      await scribble(disk, model, bits);
      await disk.close();
      expect(check(path)).toBe(0);
      expect(Buffer.compare(asRaw(path), model)).toBe(0);
    },
  );

  it("its compressed image → read the same; overwritten, it still finds no error", async () => {
    const source = new Uint8Array(8 * MIB);
    for (let i = 0; i < 128; i += 2) source.set(pattern(4096, i + 1), i * 65536);
    writeFileSync(at("source.raw"), source);
    qemu("convert", "-c", "-f", "raw", "-O", "qcow2", at("source.raw"), at("packed.qcow2"));
    const disk = await Qcow2Disk.open(await NodeFile.open(at("packed.qcow2")), {
      inflate: nodeInflate,
    });
    const seen = new Uint8Array(8 * MIB);
    await disk.read(0, seen);
    expect(Buffer.compare(seen, source)).toBe(0);
    await scribble(disk, source, 77);
    await disk.close();
    expect(check(at("packed.qcow2"))).toBe(0);
    expect(Buffer.compare(asRaw(at("packed.qcow2")), source)).toBe(0);
  });

  it("our overlay over a raw disk, named for it → it reads base and overlay the same", async () => {
    writeFileSync(at("base.raw"), pattern(6 * MIB, 3));
    const backing = await RawDisk.open(await NodeFile.open(at("base.raw"), { readOnly: true }));
    const file = await NodeFile.open(at("overlay.qcow2"), { create: { size: 512 } });
    const disk = await Qcow2Disk.create(
      file,
      {
        capacity: 8 * MIB,
        backingName: `json:{"driver":"raw","file":{"driver":"file","filename":"${at("base.raw")}"}}`,
      },
      { backing },
    );
    const model = new Uint8Array(8 * MIB);
    model.set(pattern(6 * MIB, 3));
    await scribble(disk, model, 21);
    await disk.close();
    expect(check(at("overlay.qcow2"))).toBe(0);
    expect(Buffer.compare(asRaw(at("overlay.qcow2")), model)).toBe(0);
    expect(Buffer.compare(readFileSync(at("base.raw")), pattern(6 * MIB, 3))).toBe(0);
  });

  it("killed before the flush → it finds leaks at worst, and all that was flushed", async () => {
    const path = at("killed.qcow2");
    const file = await NodeFile.open(path, { create: { size: 512 } });
    const disk = await Qcow2Disk.create(file, { capacity: 24 * MIB, clusterBits: 12 });
    const flushed = pattern(8 * MIB, 4);
    await disk.write(0, flushed);
    await disk.flush();
    for (let i = 0; i < 60; i++) await disk.write(16 * MIB + i * 20 * 4096, pattern(8192, i + 1));
    await disk.discard(0, 4 * MIB);
    await disk.writeZeroes(4 * MIB, MIB, true);
    await file.close();
    let status = 0;
    try {
      check(path);
    } catch (error) {
      status = (error as { status: number }).status;
    }
    // 3: leaked clusters, no corruption.
    expect([0, 3]).toContain(status);
    expect(Buffer.compare(asRaw(path).subarray(0, 8 * MIB), flushed)).toBe(0);
  });
});
