import { mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  debugfs,
  dumpedFile,
  dump,
  e2fsprogsMissing,
  fsck,
  resize2fs,
  saveDisk,
} from "../testing/e2fsprogs.ts";
import type { Dumped } from "../testing/e2fsprogs.ts";
import { randomTree } from "../testing/trees.ts";
import { FileTree } from "../tree/file-tree.ts";
import { MemoryDisk } from "./sink.ts";
import { writeExt4 } from "./write-ext4.ts";
import type { Ext4Options } from "./write-ext4.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "queztl-ext4-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function disk(tree: FileTree, options: Ext4Options = {}): Promise<Uint8Array> {
  const sink = new MemoryDisk();
  await writeExt4(tree, sink, { freeBytes: 1 << 20, ...options });
  return sink.bytes;
}
const save = (name: string, bytes: Uint8Array) => saveDisk(join(folder, name), bytes);

/** A tree's directories, files and symbolic links as debugfs would copy them. */
async function expected(tree: FileTree): Promise<Map<string, Dumped>> {
  const files = new Map<string, Dumped>();
  for (const { path, node } of tree.walk()) {
    if (path === "" || path === "lost+found") continue;
    if (node.type === "directory") files.set(path, { type: "directory" });
    if (node.type === "symlink") files.set(path, { type: "symlink", target: node.target });
    if (node.type !== "file") continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of node.content.read()) chunks.push(chunk);
    files.set(path, dumpedFile(Buffer.concat(chunks)));
  }
  return files;
}

describe.skipIf(e2fsprogsMissing !== undefined)("checked by e2fsprogs", () => {
  test("random trees → clean for e2fsck, and debugfs reads the same files", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(randomTree, fc.boolean(), async (tree, journal) => {
        const path = await save("random.img", await disk(tree, { journal, freeBytes: 9 << 20 }));
        await fsck(path);
        const copy = join(folder, `random-${run++}`);
        expect(await dump(path, copy)).toEqual(await expected(tree));
        await rm(copy, { recursive: true });
      }),
      { numRuns: 20, endOnFailure: true },
    );
  }, 60_000);

  test("every kind of file → its type, owner, mode, time, links and attributes", async () => {
    const tree = new FileTree();
    const owner = { uid: 70_000, gid: 80_000, mode: 0o4751, mtime: 5_000_000_000.25 };
    const capability = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
    tree.add("bin/ping", {
      content: "#!",
      ...owner,
      xattrs: new Map([["security.capability", capability]]),
    });
    tree.link("bin/ping6", "bin/ping");
    tree.add("dev/null", { type: "character-device", major: 1, minor: 3 });
    tree.add("dev/nvme", { type: "block-device", major: 259, minor: 70_000 });
    tree.add("fifo", { type: "fifo" });
    tree.add("short", { type: "symlink", target: "x".repeat(59) });
    tree.add("long", { type: "symlink", target: "x".repeat(60) });
    tree.add("many", {
      xattrs: new Map([
        ["user.a", new Uint8Array(2000).fill(9)],
        ["user.b", capability],
      ]),
    });
    const path = await save("kinds.img", await disk(tree));
    await fsck(path);
    const ping = await debugfs(path, "stat /bin/ping6");
    expect(ping).toMatch(/Type: regular +Mode: +04751/);
    expect(ping).toMatch(/User: 70000 +Group: 80000/);
    expect(ping).toMatch(/Links: 2 /);
    expect(ping).toContain("mtime: 0x2a05f200:3b9aca01");
    expect(ping).toContain(
      `security.capability (20) = ${Buffer.from(capability).toString("hex").replace(/../g, "$& ").trim()}`,
    );
    expect(await debugfs(path, "stat /dev/null")).toMatch(/character special[\s\S]*01:03/);
    expect(await debugfs(path, "stat /dev/nvme")).toMatch(
      /block special[\s\S]*\(New-style\) Device major.minor number: 259:70000/,
    );
    expect(await debugfs(path, "stat /fifo")).toContain("Type: FIFO");
    expect(await debugfs(path, "stat /short")).toContain(`Fast link dest: "${"x".repeat(59)}"`);
    expect(await debugfs(path, "stat /long")).toMatch(/Type: symlink[\s\S]*EXTENTS/);
    expect(await debugfs(path, "ea_list /many")).toMatch(
      /user\.a \(2000\)\s+user\.b \(20\) = 01 02/,
    );
  });

  test("a directory of 5,000 names, a fragmented file, deep folders → clean and whole", async () => {
    const tree = new FileTree();
    for (let i = 0; i < 5000; i++) tree.add(`large/${"n".repeat(i % 40)}${i}`, { type: "fifo" });
    // Every other block a hole: more extents than an inode and than one block hold.
    const holes = new Uint8Array(800 * 4096);
    for (let at = 0; at < holes.length; at += 8192) holes[at] = 1 + (at % 251);
    tree.add("holes", { content: holes });
    tree.add(Array.from({ length: 200 }, () => "d").join("/"), { content: "deep" });
    const path = await save("large.img", await disk(tree));
    expect(await fsck(path)).toMatch(/: 5\d\d\d\//);
    expect(await debugfs(path, "stat /holes")).toMatch(/Blockcount: 32\d\d\n/);
    await debugfs(path, `dump /holes ${join(folder, "holes")}`);
    expect(Buffer.compare(await readFile(join(folder, "holes")), holes)).toBe(0);
  });

  test("a disk across several groups, grown by resize2fs → clean before and after", async () => {
    const tree = new FileTree();
    tree.add("data", { content: new Uint8Array(1 << 20).fill(1) });
    const path = await save("grow.img", await disk(tree, { size: 140 << 20, label: "grown" }));
    expect(await fsck(path)).toContain("grown: 12/");
    await truncate(path, 5 * 2 ** 30);
    await resize2fs(path);
    expect(await fsck(path)).toContain("/1310720 blocks");
  }, 30_000);
});

test("the same tree in another order → the same bytes; another UUID → others", async () => {
  const build = (paths: readonly string[], options?: Ext4Options) => {
    const tree = new FileTree();
    for (const path of paths) tree.add(path, { content: path, mtime: 1 });
    return disk(tree, options);
  };
  const one = await build(["a/x", "a/y", "b"]);
  expect(Buffer.compare(await build(["b", "a/y", "a/x"]), one)).toBe(0);
  const other = await build(["a/x", "a/y", "b"], { uuid: "0".repeat(31) + "1" });
  expect(Buffer.compare(other, one)).not.toBe(0);
});

test("a size too small, then the size the error asks for → QZ_IMAGES_DISK_FULL, then a disk", async () => {
  const tree = new FileTree();
  tree.add("data", { content: new Uint8Array(5 << 20).fill(1) });
  const full = await disk(tree, { size: 4 << 20 }).catch((error: unknown) => error);
  expect(full).toMatchObject({ code: "QZ_IMAGES_DISK_FULL" });
  const { needed } = (full as { details: { needed: number } }).details;
  expect((await disk(tree, { size: needed })).length).toBeLessThanOrEqual(needed);
});

test("options that no disk can have → QZ_IMAGES_BAD_DISK", async () => {
  const odd: Ext4Options[] = [
    { uuid: "x" },
    { label: "seventeen bytes!!" },
    { size: -1 },
    { size: Number.NaN },
    { size: 2 ** 60 },
    { freeBytes: -1 },
    { freeInodes: 0.5 },
    { time: -1 },
  ];
  for (const options of odd) {
    await expect(disk(new FileTree(), options)).rejects.toMatchObject({
      code: "QZ_IMAGES_BAD_DISK",
    });
  }
});

test("files that cannot be stored → QZ_IMAGES_BAD_FILE", async () => {
  const refused = async (fill: (tree: FileTree) => void) => {
    const tree = new FileTree();
    fill(tree);
    await expect(disk(tree)).rejects.toMatchObject({ code: "QZ_IMAGES_BAD_FILE" });
  };
  const xattrs = (name: string, bytes: number) => ({
    xattrs: new Map([[name, new Uint8Array(bytes)]]),
  });
  await refused((tree) => tree.add("x", xattrs("odd.name", 1)));
  await refused((tree) => tree.add("x", xattrs("user.", 1)));
  await refused((tree) => tree.add("x", xattrs("user.large", 5000)));
  await refused((tree) => tree.add("lost+found", { content: "in the way" }));
  await refused((tree) =>
    tree.add("x", { content: { size: 10, read: () => [new Uint8Array(9)] } }),
  );
  await refused((tree) =>
    tree.add("x", { content: { size: 10, read: () => [new Uint8Array(11)] } }),
  );
});

test("an aborted signal → the writing stops", async () => {
  const tree = new FileTree();
  tree.add("x", { content: "x" });
  const writing = disk(tree, { signal: AbortSignal.abort() });
  await expect(writing).rejects.toThrow(/abort/);
});
