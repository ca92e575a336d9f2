import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readKernelPackage } from "./kernel-package.ts";
import { makeDeb, makeModule } from "./testing/packages.ts";

const base = "lib/modules/6.1.0-9-amd64";
const files = {
  "boot/vmlinuz-6.1.0-9-amd64": "the kernel",
  [`${base}/modules.builtin`]: "kernel/fs/ext4/ext4.ko\n",
  [`${base}/kernel/a/virtio-net.ko`]: makeModule(["depends=virtio,deep"]),
  [`${base}/kernel/a/virtio.ko`]: makeModule(["depends=virtio_ring"]),
  [`${base}/kernel/a/virtio_ring.ko`]: makeModule([]),
  [`${base}/kernel/a/deep.ko.gz`]: gzipSync(makeModule([])),
  [`${base}/kernel/a/unrelated.ko`]: makeModule([]),
};
const recipe = {
  metaPackage: "linux-image-amd64",
  modules: ["virtio_net", "ext4"],
  dependencies: ["virtio", "unrelated"],
};

test("a kernel package → the kernel and the wanted modules with all they depend on, in load order", async () => {
  const parts = await readKernelPackage(await makeDeb(files), recipe);
  expect(parts.release).toBe("6.1.0-9-amd64");
  expect(new TextDecoder().decode(parts.bzImage)).toBe("the kernel");
  expect(parts.modules.map((module) => [module.name, module.path])).toEqual([
    ["deep", "kernel/a/deep.ko"],
    ["virtio_ring", "kernel/a/virtio_ring.ko"],
    ["virtio", "kernel/a/virtio.ko"],
    ["virtio_net", "kernel/a/virtio-net.ko"],
  ]);
});

test("a wanted module that is neither there nor built in → QZ_IMAGES_MODULE_MISSING", async () => {
  const deb = await makeDeb(files);
  const wanted = { ...recipe, modules: ["virtio_gpu", "ext4", "nvme"] };
  await expect(readKernelPackage(deb, wanted)).rejects.toMatchObject({
    code: "QZ_IMAGES_MODULE_MISSING",
    message: expect.stringContaining("virtio_gpu, nvme"),
  });
});

test("a package without a kernel → QZ_IMAGES_BAD_PACKAGE", async () => {
  const code = "QZ_IMAGES_BAD_PACKAGE";
  const deb = await makeDeb({ "usr/share/doc/x": "" });
  await expect(readKernelPackage(deb, recipe)).rejects.toMatchObject({ code });
});
