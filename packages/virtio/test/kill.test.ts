import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OverlayDisk, Qcow2Disk, RawDisk } from "../src/index.ts";
import type { BlockBackend } from "../src/index.ts";
import { NodeFile } from "../src/node/index.ts";
import { BLOCK_BYTES, CAPACITY, blockAt, contentOf } from "./kill-pattern.ts";

/** How often each kind of disk's writer is killed; by hand QUEZTL_KILLS=200. */
const KILLS = Number(process.env.QUEZTL_KILLS ?? 4);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queztl-kill-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function make(kind: string, path: string): Promise<void> {
  if (kind === "qcow2") {
    const file = await NodeFile.open(path, { create: { size: 512 } });
    await (await Qcow2Disk.create(file, { capacity: CAPACITY, clusterBits: 12 })).close();
  } else {
    const name = kind === "overlay" ? `${path}.base` : path;
    await (await NodeFile.open(name, { create: { size: CAPACITY } })).close();
  }
}

async function open(kind: string, path: string): Promise<BlockBackend> {
  const readOnly = true;
  if (kind === "qcow2") return Qcow2Disk.open(await NodeFile.open(path, { readOnly }));
  if (kind === "raw") return RawDisk.open(await NodeFile.open(path, { readOnly }));
  const base = await RawDisk.open(await NodeFile.open(`${path}.base`, { readOnly }));
  const file = await NodeFile.open(path, { readOnly });
  return OverlayDisk.open({ base, file, map: await NodeFile.open(`${path}.map`, { readOnly }) });
}

/** Starts a writer, kills it after so many acknowledgements, and returns the last one it gave. */
async function killAfter(kind: string, path: string, from: number, count: number): Promise<number> {
  const script = join(import.meta.dirname, "kill-writer.ts");
  const options = ["--conditions=@queztl/source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...options, script, kind, path, String(from)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8");
  for await (const part of child.stdout) {
    text += String(part);
    if (text.split("\n").length > count) child.kill("SIGKILL");
  }
  const whole = text.split("\n").slice(0, -1);
  return Number(whole.at(-1));
}

describe("a monitor killed in the middle of flushed writes", () => {
  it.each(["raw", "qcow2", "overlay"])(
    "%s → nothing that was acknowledged is lost",
    async (kind) => {
      const path = join(folder, kind);
      await make(kind, path);
      let next = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const last = await killAfter(kind, path, next, 20 + ((kill * 37) % 60));
        expect(last).toBeGreaterThanOrEqual(next);
        const disk = await open(kind, path);
        const seen = new Uint8Array(BLOCK_BYTES);
        const blocks = CAPACITY / BLOCK_BYTES;
        for (let n = Math.max(0, last - blocks + 2); n <= last; n++) {
          await disk.read(blockAt(n) * BLOCK_BYTES, seen);
          // The write after the last acknowledged one may be there, whole or in part, in a block of its own.
          expect(Buffer.compare(seen, contentOf(n)), `write ${n} after kill ${kill}`).toBe(0);
        }
        await disk.close();
        next = last + 1;
      }
      if (kind === "qcow2") expect(["sound", "leaks", "no qemu-img"]).toContain(verdict(path));
    },
    60_000 + KILLS * 5_000,
  );
});

/** What qemu-img says of an image. */
function verdict(path: string): string {
  try {
    execFileSync("qemu-img", ["check", path], { stdio: "pipe" });
    return "sound";
  } catch (error) {
    const { code, status } = error as { code?: string; status?: number };
    if (code === "ENOENT") return "no qemu-img";
    return status === 3 ? "leaks" : `status ${status}`;
  }
}
