import fc from "fast-check";
import { expect, test } from "vitest";
import { npzProblem } from "./npz-head.ts";

interface Member {
  readonly name?: string;
  readonly data: Uint8Array;
  /** What its header says, where that is not so. */
  readonly claims?: number;
  readonly flags?: number;
}

/** Members as numpy.savez writes them: stored, their sizes in 64 bits; without a directory, which is at the end. */
function npz(...members: readonly Member[]): Uint8Array {
  const parts = members.map(({ name = "x.npy", data, claims = data.length, flags = 0 }) => {
    const header = Buffer.alloc(30 + name.length + 20);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(flags, 6);
    header.fill(0xff, 18, 26);
    header.writeUInt16LE(name.length, 26);
    header.writeUInt16LE(20, 28);
    header.write(name, 30, "latin1");
    header.writeUInt16LE(1, 30 + name.length);
    header.writeUInt16LE(16, 32 + name.length);
    header.writeBigUInt64LE(BigInt(claims), 34 + name.length);
    header.writeBigUInt64LE(BigInt(claims), 42 + name.length);
    return Buffer.concat([header, data]);
  });
  return Buffer.concat(parts);
}

/** An array as NumPy writes it (NEP 1). */
function npy(descr: string, shape: string, data = Buffer.alloc(0)): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
  const head = Buffer.from(`\x93NUMPY\x01\x00\0\0${text}`, "latin1");
  head.writeUInt16LE(text.length, 8);
  return Buffer.concat([head, data]);
}

const problemOf = (archive: Uint8Array) => npzProblem(archive, archive.length);
const twelve = npy("<f8", "3, 4", Buffer.alloc(96));

test.each([
  ["numbers and their classes", [{ data: twelve }, { name: "y.npy", data: npy("<U5", "3,", Buffer.alloc(60)) }]], // prettier-ignore
  ["bytes of pictures", [{ data: npy("|u1", "2, 3, 3", Buffer.alloc(18)) }]],
  ["one whose sizes follow it", [{ data: twelve, claims: 1e15, flags: 8 }]],
])("an archive of %s → nothing against it", (_name, members: Member[]) => {
  expect(problemOf(npz(...members))).toBeUndefined();
});

test("no archive, an empty one → said", () => {
  for (const bytes of [Buffer.from("not a zip at all, but long enough to be one"), Buffer.alloc(0)])
    expect(problemOf(bytes)).toBe("it is not an .npz archive");
});

test.each([
  ["a name that leads upwards", { name: "../../x.npy", data: twelve }, "no array's name"],
  ["a program", { name: "x.py", data: twelve }, "no array's name"],
  ["more bytes than the file", { data: twelve, claims: 1e10 }, "claims 10000000000 bytes"],
  ["80 GB of numbers", { data: npy("<f8", "10000000000,") }, "claims 10000000000 numbers"],
  [
    "a million numbers that are not there",
    { data: npy("<f8", "1000, 1000") },
    "more than it holds",
  ],
  ["80 GB of numbers whose size follows", { data: npy("<f8", "10000000000,"), flags: 8 }, "claims 10000000000 numbers"], // prettier-ignore
  ["pickled objects", { data: npy("|O", "3,", Buffer.alloc(24)) }, "neither plain numbers"],
  ["something else than an array", { data: Buffer.alloc(40) }, "x.npy is no array"],
])("%s → said", (_name, member: Member, words) => {
  expect(problemOf(npz(member))).toContain(words);
  // The first array is fine.
  expect(problemOf(npz({ name: "a.npy", data: twelve }, member))).toContain(words);
});

test("any bytes behind any honest beginning → an answer", () => {
  const honest = npz({ data: twelve });
  fc.assert(
    fc.property(fc.nat(honest.length), fc.uint8Array({ maxLength: 200 }), (cut, rest) => {
      const problem = problemOf(Buffer.concat([honest.subarray(0, cut), rest]));
      expect(["string", "undefined"]).toContain(typeof problem);
    }),
  );
});
