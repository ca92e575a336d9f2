import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile, link, chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { chunksOf, makeTar } from "../testing/tars.ts";
import type { TarInput } from "../testing/tars.ts";
import { FileTree } from "../tree/file-tree.ts";
import { unpackTar } from "./unpack-tar.ts";

async function unpack(tar: Uint8Array, options: Parameters<typeof unpackTar>[2] = {}) {
  const tree = new FileTree();
  await unpackTar(chunksOf(tar), tree, options);
  return tree;
}

async function text(tree: FileTree, path: string): Promise<string | undefined> {
  const node = tree.find(path);
  if (node?.type !== "file") return undefined;
  let content = "";
  for await (const chunk of node.content.read()) content += Buffer.from(chunk).toString();
  return content;
}

test("archives of GNU tar in each format → the same files, links, modes and long names", async () => {
  const folder = await mkdtemp(join(tmpdir(), "queztl-tar-"));
  const long = `${"long".repeat(20)}/${"name".repeat(30)}`;
  try {
    const root = join(folder, "root");
    await mkdir(join(root, "usr/bin"), { recursive: true });
    await writeFile(join(root, "usr/bin/tool"), "tool".repeat(1000));
    await chmod(join(root, "usr/bin/tool"), 0o4755);
    await link(join(root, "usr/bin/tool"), join(root, "usr/bin/twin"));
    await symlink("usr/bin", join(root, "bin"));
    for (const format of ["gnu", "pax", "oldgnu", "ustar", "v7"]) {
      const tar = join(folder, `${format}.tar`);
      const lengthy = format !== "ustar" && format !== "v7";
      if (lengthy) {
        await mkdir(join(root, long, ".."), { recursive: true });
        await writeFile(join(root, long), "long");
      } else {
        await rm(join(root, long.slice(0, 80)), { recursive: true, force: true });
      }
      execFileSync("tar", ["-C", root, `--format=${format}`, "-cf", tar, "."]);
      const tree = await unpack(await readFile(tar));
      expect(await text(tree, "usr/bin/tool"), format).toBe("tool".repeat(1000));
      expect(tree.find("usr/bin/tool")).toMatchObject({ mode: 0o4755 });
      expect(tree.find("usr/bin/twin")).toBe(tree.find("usr/bin/tool"));
      expect(tree.find("bin", { followLast: false })).toMatchObject({ target: "usr/bin" });
      if (lengthy) expect(await text(tree, long), format).toBe("long");
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("pax attributes → extended attributes as they are, fractions of seconds, large owners", async () => {
  const tree = await unpack(
    await makeTar([
      {
        name: "cap",
        body: "x",
        uid: 3_000_000,
        pax: { "SCHILY.xattr.user.note": "é\u0001", mtime: "1700000000.5" },
      },
    ]),
  );
  expect(tree.find("cap")).toMatchObject({
    uid: 3_000_000,
    mtime: 1_700_000_000.5,
    xattrs: new Map([["user.note", new TextEncoder().encode("é\u0001")]]),
  });
});

const refused = async (entries: readonly TarInput[]): Promise<string> => {
  const outcome = await unpack(await makeTar(entries)).catch((error: unknown) => error);
  return isQueztlError(outcome) ? outcome.code : "unpacked";
};

test("entries that would leave the tree or cannot be on a disk → coded errors", async () => {
  const path = "QZ_IMAGES_BAD_PATH";
  expect(await refused([{ name: "../evil", body: "x" }])).toBe(path);
  expect(await refused([{ name: "a/../../evil", body: "x" }])).toBe(path);
  expect(await refused([{ name: "x", pax: { path: "a\0b" } }])).toBe(path);
  expect(await refused([{ name: "n".repeat(256), body: "x" }])).toBe(path);
  expect(await refused([{ name: "hard", type: "link", linkname: "../../etc/passwd" }])).toBe(path);
  expect(await refused([{ name: "hard", type: "link", linkname: "gone" }])).toBe(path);
  expect(
    await refused([
      { name: "f", body: "x" },
      { name: "f/x", body: "x" },
    ]),
  ).toBe(path);
  const empty = [{ name: "l", type: "symlink" as const, linkname: "" }];
  expect(await refused(empty)).toBe("QZ_IMAGES_BAD_FILE");
});

test("a symbolic link out of the tree and a file through it → stays inside", async () => {
  const tree = await unpack(
    await makeTar([
      { name: "out", type: "symlink", linkname: "/../../etc" },
      { name: "out/passwd", body: "mine" },
      { name: "/absolute", body: "inside" },
    ]),
  );
  expect(await text(tree, "etc/passwd")).toBe("mine");
  expect(await text(tree, "absolute")).toBe("inside");
});

test("more bytes or files than allowed → QZ_IMAGES_TOO_LARGE before they are read", async () => {
  const tar = await makeTar([
    { name: "a", body: "x".repeat(600) },
    { name: "b", body: "x".repeat(600) },
  ]);
  for (const limits of [{ bytes: 1000 }, { files: 1 }]) {
    await expect(unpack(tar, { limits })).rejects.toMatchObject({ code: "QZ_IMAGES_TOO_LARGE" });
  }
});

test("an archive cut anywhere or with bytes changed → unpacked or a coded error, nothing else", async () => {
  const tar = await makeTar([
    { name: `${"long/".repeat(30)}name`, body: "content".repeat(100), pax: { comment: "x" } },
    { name: "dir/", mode: 0o700 },
    { name: "link", type: "symlink", linkname: "dir" },
    { name: "null", type: "character-device" },
  ]);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(tar.length),
      fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), { maxLength: 4 }),
      async (length, changes) => {
        const bytes = tar.slice(0, length);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        const outcome = await unpack(bytes).catch((error: unknown) => error);
        expect(outcome instanceof FileTree || isQueztlError(outcome)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});
