import { isQueztlError } from "@queztl/errors";
import { describe, expect, it } from "vitest";
import { MemoryFile, Qcow2Disk } from "../../src/index.ts";
import { FUZZ_TIMEOUT, fuzz } from "./harness.ts";
import type { Dice } from "./harness.ts";

/** Makes a small image with some data, then damages its metadata. */
async function damaged(dice: Dice): Promise<MemoryFile> {
  const file = new MemoryFile();
  const disk = await Qcow2Disk.create(file, {
    capacity: 256 * 1024,
    clusterBits: dice.pick([9, 12, 16]),
  });
  for (let i = 0; i < 4; i++) await disk.write(dice.below(500) * 512, dice.bytes(512));
  await disk.close();
  const size = await file.size();
  for (let i = dice.below(4); i >= 0; i--) {
    // The header most of all, and the tables, which lie in the first clusters.
    const at = dice.chance(2) ? dice.below(112) : dice.below(Math.min(size, 300_000));
    const word = new DataView(new ArrayBuffer(8));
    word.setUint32(0, dice.chance(2) ? 0 : dice.nasty());
    word.setUint32(4, dice.nasty());
    await file.write(at & ~3, new Uint8Array(word.buffer, dice.pick([0, 4])));
  }
  if (dice.chance(8)) await file.resize(dice.below(size));
  return file;
}

describe("damaged qcow2 images", () => {
  it(
    "opened, read, written, flushed → coded errors at most",
    async () => {
      const rounds = await fuzz(400, async (dice) => {
        const file = await damaged(dice);
        let disk: Qcow2Disk | undefined;
        const attempt = async (work: () => Promise<unknown>): Promise<void> => {
          try {
            await work();
          } catch (error) {
            if (!isQueztlError(error)) throw error;
          }
        };
        await attempt(
          async () => (disk = await Qcow2Disk.open(file, { readOnly: dice.chance(4) })),
        );
        const open = disk;
        if (open === undefined) return;
        for (let i = 0; i < 12; i++) {
          const length = 512 * (1 + dice.below(40));
          const offset =
            512 * dice.below(Math.max(1, Math.min(2 ** 30, open.capacity - length) / 512));
          if (offset + length > open.capacity) continue;
          await attempt(() => open.read(offset, new Uint8Array(length)));
          if (open.readOnly) continue;
          await attempt(() => open.write(offset, dice.bytes(length)));
          if (dice.chance(3)) await attempt(() => open.writeZeroes(offset, length, dice.chance(2)));
          if (dice.chance(3)) await attempt(() => open.discard(offset, length));
          if (dice.chance(2)) await attempt(() => open.flush());
        }
        await attempt(() => open.close());
        // What damage makes grow must not grow without end.
        if (file.storedBytes > 256 * 1024 * 1024)
          throw new Error(`${file.storedBytes} bytes are stored`);
      });
      expect(rounds).toBeGreaterThanOrEqual(400);
    },
    FUZZ_TIMEOUT,
  );
});
