import { mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as xz from "@napi-rs/lzma/xz";
import { afterEach, beforeEach, expect, test } from "vitest";
import { flavours } from "../flavours.ts";
import { debugfs, e2fsprogsMissing, fsck } from "../testing/e2fsprogs.ts";
import { describe as describePackage, makeBzImage, makeDeb } from "../testing/packages.ts";
import { makeLayout, makeTar, streamOf } from "../testing/tars.ts";
import { withBuildLock } from "./build-lock.ts";
import { lockOf } from "./catalogue.ts";
import { importImage } from "./import-image.ts";
import type { ImportImageOptions } from "./import-image.ts";
import { listImages, openImage, removeImage } from "./open-image.ts";
import type { PackageSource } from "./package-source.ts";

const kernelDeb = await makeDeb({
  "boot/vmlinuz-6.1.0-9-cloud-amd64": makeBzImage(),
  "lib/modules/6.1.0-9-cloud-amd64/modules.builtin": flavours.cloud.modules
    .map((name) => `kernel/${name}.ko\n`)
    .join(""),
});
const busyboxDeb = await makeDeb({ "bin/busybox": "busybox" });
const kernel = describePackage("linux-image-6.1.0-9-cloud-amd64", kernelDeb, "6.1.9-1");
const busybox = describePackage("busybox-static", busyboxDeb);
const meta = describePackage("linux-image-cloud-amd64", new Uint8Array());
const index = [{ ...meta, depends: [kernel.name] }, kernel, busybox];
const source: PackageSource = {
  name: "test",
  newest: async (name) => index.find((each) => each.name === name),
  fetch: async ({ name }) => (name === kernel.name ? kernelDeb : busyboxDeb),
};

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "queztl-import-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const rootfs = await makeTar([
  { name: "./" },
  { name: "./bin/" },
  { name: "./bin/app", mode: 0o755, body: "#!/bin/sh\n" },
  { name: "./sbin", type: "symlink", linkname: "bin" },
]);
const take = (name: string, from: Partial<ImportImageOptions> = {}) =>
  importImage({ name, from: { tar: streamOf(rootfs) }, home, freeBytes: 1 << 20, ...from });
const open = (name: string) =>
  openImage(name, { home, sources: [source], versions: "newest", agent: false });

test("a tar, plain or compressed, as a file or a stream → the same disk, in the catalogue", async () => {
  const path = join(home, "rootfs.tar");
  await writeFile(path, rootfs);
  const packed = [gzipSync(rootfs), zstdCompressSync(rootfs), await xz.compress(rootfs)];
  const sources = [path, ...packed.map((bytes) => streamOf(bytes))];
  const sums = new Set<string>();
  for (const tar of sources) {
    const image = await take("mine", { from: { tar }, replace: true, warmUp: [["true"]] });
    expect(image).toMatchObject({ name: "mine", kind: "disk", origin: "tar", warmUp: [["true"]] });
    expect(image.bytes).toBeLessThan(image.diskBytes);
    const { disk } = JSON.parse(await readFile(join(image.folder, "image.json"), "utf8")) as {
      disk: { sha256: string };
    };
    sums.add(disk.sha256);
  }
  expect(sums.size).toBe(1);
  expect((await listImages({ home })).map(({ name }) => name)).toEqual(["mine"]);
});

test("an imported image → opened with its kernel; its disk is clean and has the mount points", async () => {
  await take("mine");
  const image = await open("mine");
  expect(image).toMatchObject({
    kind: "disk",
    release: "6.1.0-9-cloud-amd64",
    commandLine: "root=/dev/vda rw",
  });
  expect((await readFile(image.initramfs.path)).length).toBeGreaterThan(1000);
  if (e2fsprogsMissing !== undefined) return;
  const path = image.disk?.path ?? "";
  await fsck(path);
  const root = await debugfs(path, "ls /");
  for (const name of ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc"]) {
    expect(root).toMatch(new RegExp(`\\) ${name} `));
  }
});

test("an OCI layout → its layers in order, and how it is run", async () => {
  const folder = join(home, "layout");
  await makeLayout(folder, [
    [
      { name: "bin/app", body: "old" },
      { name: "secret", body: "x" },
    ],
    [{ name: "bin/app", body: "newer" }, { name: ".wh.secret" }],
  ]);
  await take("app", { from: { oci: folder } });
  const image = await open("app");
  expect(image.process).toEqual({
    argv: ["/bin/app", "--serve"],
    env: ["A=b"],
    cwd: "/srv",
  });
  if (e2fsprogsMissing !== undefined) return;
  expect(await debugfs(image.disk?.path ?? "", "cat /bin/app")).toBe("newer");
  expect(await debugfs(image.disk?.path ?? "", "ls /")).not.toContain("secret");
});

test("layouts that are altered, foreign, ambiguous or none → QZ_IMAGES_BAD_LAYOUT, nothing kept", async () => {
  const code = "QZ_IMAGES_BAD_LAYOUT";
  const layer = [{ name: "x", body: "x" }];
  const altered = join(home, "altered");
  const { layerPaths } = await makeLayout(altered, [layer]);
  const bytes = await readFile(layerPaths[0] ?? "");
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  await writeFile(layerPaths[0] ?? "", bytes);
  const foreign = join(home, "foreign");
  await makeLayout(foreign, [layer], { architecture: "arm64" });
  const several = join(home, "several");
  await makeLayout(several, [layer], { names: ["a", "b"] });
  const climbing = join(home, "climbing");
  await makeLayout(climbing, [layer]);
  const digest = "sha256:../../../../etc/passwd";
  const manifests = [{ mediaType: "x", digest, size: 1 }];
  await writeFile(join(climbing, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  for (const oci of [altered, foreign, several, climbing, home, join(home, "none")]) {
    await expect(take("app", { from: { oci } }), oci).rejects.toMatchObject({ code });
  }
  expect(await listImages({ home })).toEqual([]);
  expect(await readdir(join(home, "images"))).toEqual([".locks"]);
  await take("app", { from: { oci: several, image: "b" } });
});

test("names that are taken, odd or ours → coded errors", async () => {
  await take("mine");
  await expect(take("mine")).rejects.toMatchObject({ code: "QZ_IMAGES_EXISTS" });
  for (const name of ["", "../x", "A", "a/b", ".locks", "debian", "base", "a".repeat(64), "x@y"]) {
    await expect(take(name), name).rejects.toMatchObject({ code: "QZ_IMAGES_BAD_NAME" });
  }
  for (const name of ["none", "../images", ".locks", "__proto__", "constructor"]) {
    await expect(open(name), name).rejects.toMatchObject({ code: "QZ_IMAGES_NO_IMAGE" });
  }
});

test("an archive that is none → QZ_IMAGES_BAD_ARCHIVE; a small disk → QZ_IMAGES_DISK_FULL", async () => {
  const code = "QZ_IMAGES_BAD_ARCHIVE";
  const noise = streamOf(Buffer.alloc(2000, 7));
  await expect(take("x", { from: { tar: noise } })).rejects.toMatchObject({ code });
  const cut = streamOf(gzipSync(rootfs).subarray(0, 100));
  await expect(take("x", { from: { tar: cut } })).rejects.toMatchObject({ code });
  const gone = { tar: join(home, "gone.tar") };
  await expect(take("x", { from: gone })).rejects.toMatchObject({ code });
  await expect(take("x", { size: 8192 })).rejects.toMatchObject({ code: "QZ_IMAGES_DISK_FULL" });
  expect(await readdir(join(home, "images"))).toEqual([".locks"]);
});

test("a disk that was written to → QZ_IMAGES_DAMAGED; touched but the same → opened", async () => {
  const { folder } = await take("mine");
  const disk = join(folder, "disk.ext4");
  await utimes(disk, 1, 1);
  expect((await open("mine")).name).toBe("mine");
  const bytes = await readFile(disk);
  bytes[5000] = 1;
  await writeFile(disk, bytes);
  await expect(open("mine")).rejects.toMatchObject({ code: "QZ_IMAGES_DAMAGED" });
});

test("removed → gone from the list and the disk; again → QZ_IMAGES_NO_IMAGE", async () => {
  const { folder } = await take("mine");
  await open("mine");
  await removeImage("mine", { home });
  expect((await listImages({ home })).map(({ name }) => name)).toEqual(["base"]);
  await expect(readdir(folder)).rejects.toThrow(/ENOENT/);
  await expect(removeImage("mine", { home })).rejects.toMatchObject({ code: "QZ_IMAGES_NO_IMAGE" });
  await removeImage("base", { home });
  expect(await listImages({ home })).toEqual([]);
});

test("an aborted import → QZ_IMAGES_CANCELLED and nothing left; the next one succeeds", async () => {
  const controller = new AbortController();
  const cancelled = take("mine", {
    signal: controller.signal,
    onProgress: ({ step }) => {
      if (step === "write") controller.abort();
    },
  });
  await expect(cancelled).rejects.toMatchObject({ code: "QZ_IMAGES_CANCELLED" });
  expect(await readdir(join(home, "images"))).toEqual([".locks"]);
  expect((await take("mine")).name).toBe("mine");
});

test("two imports of one name at once → one makes it, the other hears that it is there", async () => {
  const both = await Promise.allSettled([take("mine"), take("mine")]);
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
});

test("a lock → one at a time; left by a dead process → taken over; waiting can be aborted", async () => {
  const path = lockOf(home, "x");
  let inside = 0;
  const most: number[] = [];
  const work = async () => {
    most.push(++inside);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => withBuildLock(path, {}, work)));
  expect(most).toEqual([1, 1, 1]);

  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "someone");
  const waiting = withBuildLock(path, { signal: AbortSignal.timeout(30) }, work);
  await expect(waiting).rejects.toThrow(/timeout|aborted/);
  const old = new Date(Date.now() - 60_000);
  await utimes(path, old, old);
  await withBuildLock(path, {}, work);
  expect(most).toEqual([1, 1, 1, 1]);
  expect(await readdir(dirname(path))).toEqual([]);
});
