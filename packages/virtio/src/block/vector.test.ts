import fc from "fast-check";
import { expect, it } from "vitest";
import { MemoryFile } from "./memory-file.ts";
import { joined, part, readVector, writeVector } from "./vector.ts";

const buffers = fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 6 });

it("any part of some buffers → the bytes that are there", () => {
  fc.assert(
    fc.property(buffers, fc.nat(60), fc.nat(60), (list, at, length) => {
      const whole = joined(list);
      expect(joined(part(list, at, length))).toEqual(whole.subarray(at, at + length));
    }),
  );
});

it("a store that takes one buffer only → several are written and read all the same", async () => {
  await fc.assert(
    fc.asyncProperty(buffers, async (list) => {
      const file = new MemoryFile(100);
      const store = {
        read: file.read.bind(file),
        write: file.write.bind(file),
      };
      await writeVector(store, 7, list);
      const back = list.map(({ length }) => new Uint8Array(length));
      await readVector(store, 7, back);
      expect(back).toEqual(list);
      for (const each of back) each.fill(0);
      await readVector(file, 7, back);
      expect(back).toEqual(list);
    }),
  );
});
