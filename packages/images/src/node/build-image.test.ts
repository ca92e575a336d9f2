import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCpio } from "@queztl/boot";
import { afterEach, beforeEach, expect, test } from "vitest";
import { flavours } from "../flavours.ts";
import type { DebianPackage } from "../package-index.ts";
import { describe, makeBzImage, makeDeb } from "../testing/packages.ts";
import { buildImage } from "./build-image.ts";
import type { PackageSource } from "./package-source.ts";
import type { ImageProgress } from "./progress.ts";

const kernelDeb = await makeDeb({
  "boot/vmlinuz-6.1.0-9-cloud-amd64": makeBzImage(),
  "lib/modules/6.1.0-9-cloud-amd64/modules.builtin": flavours.cloud.modules
    .map((name) => `kernel/${name}.ko\n`)
    .join(""),
});
const busyboxDeb = await makeDeb({ "bin/busybox": "busybox" });
const kernel = describe("linux-image-6.1.0-9-cloud-amd64", kernelDeb, "6.1.9-1");
const busybox = describe("busybox-static", busyboxDeb);
const meta = { ...describe("linux-image-cloud-amd64", new Uint8Array()), depends: [kernel.name] };
const index: readonly DebianPackage[] = [meta, kernel, busybox];

/** A source with the packages above; `debs` answers what is asked for by name. */
function source(name: string, fetch: (name: string) => Uint8Array | undefined): PackageSource {
  return {
    name,
    newest: async (wanted) => index.find((entry) => entry.name === wanted),
    fetch: async (wanted) => {
      const deb = fetch(wanted.name);
      if (!deb) throw new Error("the network is down");
      return deb;
    },
  };
}
const good = source("good", (name) => (name === kernel.name ? kernelDeb : busyboxDeb));
const offline = source("offline", () => undefined);
const altering = source("altering", () => new Uint8Array([1, 2, 3]));

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "queztl-images-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const build = (sources: PackageSource[], onProgress?: (progress: ImageProgress) => void) =>
  buildImage({
    home,
    sources,
    versions: "newest",
    agent: false,
    ...(onProgress && { onProgress }),
  });

test("packages from a source → kernel, bzImage and initramfs on disk", async () => {
  const steps: ImageProgress[] = [];
  const image = await build([good], (progress) => steps.push(progress));
  expect(image).toMatchObject({
    flavour: "cloud",
    release: "6.1.0-9-cloud-amd64",
    version: "6.1.9-1",
    packages: [{ name: kernel.name }, { name: "busybox-static" }],
  });
  expect(await readFile(image.bzImage.path)).toEqual(Buffer.from(makeBzImage()));
  expect((await readFile(image.kernel.path)).subarray(0, 4).toString("latin1")).toBe("\x7fELF");
  const paths = readCpio(await readFile(image.initramfs.path)).map((entry) => entry.path);
  expect(paths).toContain("lib/modules/6.1.0-9-cloud-amd64/modules.dep");
  expect([...new Set(steps.map((progress) => progress.step))]).toEqual([
    "resolve",
    "download",
    "unpack",
    "extract",
    "assemble",
  ]);
  const left = await readdir(join(home, "images"), { recursive: true });
  expect(left.filter((file) => file.endsWith(".partial"))).toEqual([]);
});

test("a second call without network → the same image from the cache", async () => {
  const first = await build([good]);
  const steps: string[] = [];
  expect(await build([offline], ({ step }) => steps.push(step))).toEqual(first);
  expect(steps).toEqual(["resolve", "cached"]);
});

test("an altered image file → built again from the cached packages", async () => {
  const first = await build([good]);
  await writeFile(first.initramfs.path, "altered");
  expect(await build([offline])).toEqual(first);
  expect(readCpio(await readFile(first.initramfs.path)).length).toBeGreaterThan(10);
});

test("an altered manifest or a missing file → built again", async () => {
  const first = await build([good]);
  await writeFile(join(first.kernel.path, "..", "image.json"), "{");
  expect(await build([offline])).toEqual(first);
  await rm(first.kernel.path);
  expect(await build([offline])).toEqual(first);
});

test("an altered cached package → fetched again", async () => {
  const first = await build([good]);
  await rm(join(home, "images"), { recursive: true });
  await writeFile(join(home, "packages", `${kernel.sha256}.deb`), "altered");
  await expect(build([offline])).rejects.toMatchObject({ code: "QZ_IMAGES_UNAVAILABLE" });
  expect(await build([good])).toEqual(first);
});

test("a source that alters packages → the next one; alone → QZ_IMAGES_CHECKSUM", async () => {
  await expect(build([altering])).rejects.toMatchObject({ code: "QZ_IMAGES_CHECKSUM" });
  expect(await build([altering, offline, good])).toMatchObject({ flavour: "cloud" });
});

test("no source that answers → QZ_IMAGES_UNAVAILABLE with the reasons", async () => {
  await expect(build([offline, offline])).rejects.toMatchObject({
    code: "QZ_IMAGES_UNAVAILABLE",
    message: expect.stringContaining("offline: the network is down; offline:"),
  });
  await expect(build([])).rejects.toMatchObject({ code: "QZ_IMAGES_UNAVAILABLE" });
});

test("a cancelled build → QZ_IMAGES_CANCELLED, and the next one succeeds", async () => {
  const controller = new AbortController();
  const options = { home, sources: [good], versions: "newest", signal: controller.signal } as const;
  const cancelled = buildImage({
    ...options,
    onProgress: ({ step }) => {
      if (step === "unpack") controller.abort();
    },
  });
  await expect(cancelled).rejects.toMatchObject({ code: "QZ_IMAGES_CANCELLED" });
  await expect(buildImage({ home, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "QZ_IMAGES_CANCELLED",
  });
  expect(await build([good])).toMatchObject({ flavour: "cloud" });
});

test("a home that is a file → QZ_IMAGES_HOME", async () => {
  const file = join(home, "file");
  await writeFile(file, "");
  const options = { home: file, sources: [good], versions: "newest" } as const;
  await expect(buildImage(options)).rejects.toMatchObject({ code: "QZ_IMAGES_HOME" });
});

test("several builds at once → the same image", async () => {
  const images = await Promise.all([build([good]), build([good]), build([good])]);
  expect(images[1]).toEqual(images[0]);
  expect(images[2]).toEqual(images[0]);
  expect(await build([offline])).toEqual(images[0]);
});
