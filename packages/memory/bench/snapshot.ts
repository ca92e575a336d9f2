/**
 * How long it takes to save a memory and to have it back, by reading and by mapping:
 * `node --conditions=@queztl/source bench/snapshot.ts [MiB of RAM] [MiB in use]`.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestMemory } from "../src/index.ts";
import { HostMemory, restoreSnapshotFile, writeSnapshotFile } from "../src/node.ts";

const MIB = 1024 * 1024;
const [ramMib = 256, usedMib = 64] = process.argv.slice(2).map(Number);
const ramBytes = ramMib * MIB;
const folder = await mkdtemp(join(tmpdir(), "queztl-bench-"));
const path = join(folder, "snapshot");

async function time<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  console.log(`${what.padEnd(46)}${(performance.now() - start).toFixed(2).padStart(10)} ms`);
  return result;
}

try {
  const memory = new GuestMemory({ ramBytes });
  for (let i = 0; i < usedMib * 16; i++)
    memory
      .writeView(memory.addressOf(memory.ramOffset + ((i * 97) % (ramMib * 16)) * 65536), 65536)
      .fill(i | 1);
  console.log(`${ramMib} MiB of RAM, ${usedMib} MiB in use`);
  const whole = await time("save", () => writeSnapshotFile(path, memory, { durable: false }));
  console.log(`  on disk: ${((await stat(path)).blocks / 2048).toFixed(1)} MiB`);
  memory.startDirtyTracking();
  for (let i = 0; i < 256; i++) memory.writeUint32(((i * 4099) % 65536) * 4096, i);
  const increment = { parent: whole.id, pages: memory.takeDirtyPages() };
  await time("save an increment of 1 MiB", () =>
    writeSnapshotFile(`${path}.1`, memory, { durable: false, increment }),
  );
  const read = new GuestMemory({ ramBytes });
  await time("restore by reading", () => restoreSnapshotFile(read, path));
  const mapped = new GuestMemory({ ramBytes });
  const host = await HostMemory.open(mapped);
  if (host.available) {
    await time("restore by mapping", () => restoreSnapshotFile(mapped, path, { host }));
    await time("restore by mapping, again", () => restoreSnapshotFile(mapped, path, { host }));
    await time("restore by mapping, with the increment", () =>
      restoreSnapshotFile(mapped, [path, `${path}.1`], { host }),
    );
    await time("discard a page, 1000 times", () => {
      for (let i = 0; i < 1000; i++) host.discard(i * 4096, 4096);
    });
  }
} finally {
  await rm(folder, { recursive: true });
}
