import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseElf, parseSetupHeader, readCpio } from "@queztl/boot";
import { isQueztlError } from "@queztl/errors";
import { afterAll, beforeAll, expect, test } from "vitest";
import { flavours } from "../flavours.ts";
import { aptSource } from "./apt.ts";
import { buildImage } from "./build-image.ts";
import type { GuestImage } from "./build-image.ts";
import { queztlHome } from "./home.ts";
import { DEBIAN_MIRRORS, mirrorSource } from "./mirror.ts";
import type { PackageSource } from "./package-source.ts";

/** Packages that an earlier build left on this computer. */
const cached: PackageSource = {
  name: "the cache",
  newest: async () => undefined,
  fetch: ({ sha256 }) => readFile(join(queztlHome(), "packages", `${sha256}.deb`)),
};

let home: string;
let image: GuestImage | undefined;
let unavailable = "";
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "queztl-debian-"));
  const sources = [cached, aptSource(), ...DEBIAN_MIRRORS.map(mirrorSource)];
  try {
    image = await buildImage({ home, sources });
  } catch (error) {
    if (!isQueztlError(error, "QZ_IMAGES_UNAVAILABLE")) throw error;
    unavailable = error.message;
  }
}, 300_000);
afterAll(() => rm(home, { recursive: true, force: true }));

test("Debian's cloud kernel and busybox → a kernel to start and an initramfs in order", async ({
  skip,
}) => {
  if (!image) {
    // Said aloud: a run without network must not look as if it had built the image.
    console.log(`skipped, there are no Debian packages: ${unavailable}`);
    return skip(unavailable);
  }
  const bzImage = parseSetupHeader(await readFile(image.bzImage.path));
  expect(bzImage.kernelVersion).toContain(image.release);
  const vmlinux = await readFile(image.kernel.path);
  const elf = parseElf(vmlinux);
  expect(elf.entry).toBe(BigInt(bzImage.preferredAddress));
  expect(elf.pvhEntry).toBeGreaterThan(bzImage.preferredAddress);
  expect(vmlinux.includes(`Linux version ${image.release} `)).toBe(true);

  const entries = readCpio(await readFile(image.initramfs.path));
  const read = (path: string) =>
    Buffer.from(entries.find((entry) => entry.path === path)?.data ?? []).toString("latin1");
  expect(read("bin/busybox").slice(0, 4)).toBe("\x7fELF");
  expect(read("queztl/agent/perl").slice(0, 4)).toBe("\x7fELF");
  expect(read("queztl/agent/libc.so.6").length).toBeGreaterThan(1_000_000);
  const base = `lib/modules/${image.release}`;
  const order = read(`${base}/modules.order`).trim().split("\n");
  const position = (name: string) => order.findIndex((path) => path.endsWith(`/${name}.ko`));
  for (const needed of ["virtio", "virtio_ring"]) {
    expect(position(needed)).toBeGreaterThanOrEqual(0);
    expect(position("virtio_pci")).toBeGreaterThan(position(needed));
  }
  expect(position("virtio_net")).toBeGreaterThan(position("net_failover"));
  for (const path of order) {
    expect(entries.some((entry) => entry.path === `${base}/${path}`)).toBe(true);
  }
  const builtin = read(`${base}/modules.builtin`);
  for (const name of flavours.cloud.modules) {
    const there = [name, name.replaceAll("_", "-")].some(
      (file) => position(file) >= 0 || builtin.includes(`/${file}.ko\n`),
    );
    expect([name, there]).toEqual([name, true]);
  }
  // Every virtio device finds its driver by the alias of its device type.
  expect(read(`${base}/modules.alias`)).toMatch(/^alias virtio:d00000001v\* virtio_net$/m);
});
