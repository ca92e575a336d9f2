import fc from "fast-check";
import { FileTree } from "../tree/file-tree.ts";
import type { TreeInput } from "../tree/node.ts";

const name = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.string({
      unit: fc.constantFrom("a", "b", "c", "d", "é"),
      minLength: 1,
      maxLength: 2,
    }),
  },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }) },
);
const path = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.array(name, { minLength: 1, maxLength: 4 }).map((all) => all.join("/")),
  },
  { weight: 1, arbitrary: fc.constant("n".repeat(255)) },
);

/** Blocks of noise and of zeros, of any length. */
const content = fc
  .array(fc.record({ fill: fc.constantFrom(0, 0, 1, 7), bytes: fc.nat(20_000) }), { maxLength: 12 })
  .map((pieces) => Buffer.concat(pieces.map(({ fill, bytes }) => Buffer.alloc(bytes, fill))));

const attributes = {
  mode: fc.integer({ min: 0, max: 0o7777 }).map((mode) => mode | 0o700),
  uid: fc.nat(200_000),
  gid: fc.nat(200_000),
  mtime: fc.integer({ min: -(2 ** 31), max: 2 ** 33 }),
  xattrs: fc
    .dictionary(
      fc.constantFrom("security.capability", "user.a", "user.long", "trusted.x"),
      fc.uint8Array({ maxLength: 300 }),
    )
    .map((all) => new Map(Object.entries(all))),
};

const input: fc.Arbitrary<TreeInput> = fc.oneof(
  fc.record({ type: fc.constant("file" as const), content, ...attributes }),
  fc.record({ type: fc.constant("directory" as const), ...attributes }),
  fc.record({
    type: fc.constant("symlink" as const),
    target: fc.string({ unit: fc.constantFrom("a", "/", ".", "é"), minLength: 1, maxLength: 100 }),
    ...attributes,
  }),
  fc.record({
    type: fc.constantFrom("character-device" as const, "block-device" as const),
    major: fc.nat(4095),
    minor: fc.nat(2 ** 20 - 1),
    ...attributes,
  }),
  fc.record({ type: fc.constantFrom("fifo" as const, "socket" as const), ...attributes }),
);

/** A tree of random files; what cannot be added, for another file is in the way, is left out. */
export const randomTree: fc.Arbitrary<FileTree> = fc
  .array(fc.tuple(path, input), { maxLength: 25 })
  .map((files) => {
    const tree = new FileTree();
    for (const [at, file] of files) {
      try {
        tree.add(at, file);
        if (file.type === "file" && at.length % 3 === 0) tree.link(`${at}-2`.slice(-200), at);
      } catch {
        // Refused: that is for other tests.
      }
    }
    return tree;
  });
