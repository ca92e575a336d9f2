import { readCpio } from "@queztl/boot";
import { expect, test } from "vitest";
import { INIT_LINE, READY_LINE } from "./init.ts";
import { buildInitramfs } from "./initramfs.ts";
import { parseModule } from "./modules.ts";
import { makeModule } from "./testing/packages.ts";

const busybox = new TextEncoder().encode("\x7fELF busybox");
const modules = [
  parseModule("kernel/drivers/virtio.ko", makeModule(["depends=virtio_ring"])),
  parseModule("kernel/drivers/virtio_ring.ko", makeModule([])),
];
const parts = { release: "6.1.0-test", busybox, modules };
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

test("busybox and modules → an init, every folder before its files, modules in load order", () => {
  const entries = readCpio(buildInitramfs(parts));
  const paths = entries.map((entry) => entry.path);
  for (const [index, path] of paths.entries()) {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "") expect(paths.indexOf(parent)).toBeLessThan(index);
    if (parent !== "") expect(paths).toContain(parent);
  }
  const find = (path: string) => entries.find((entry) => entry.path === path);
  expect(find("init")?.mode).toBe(0o755);
  expect(text(find("init")?.data)).toContain(INIT_LINE);
  expect(text(find("queztl/start")?.data)).toContain(READY_LINE);
  expect(find("bin/busybox")).toMatchObject({ mode: 0o755, data: busybox });
  expect(find("dev/console")).toMatchObject({ type: "character-device", major: 5, minor: 1 });
  expect(text(find("lib/modules/6.1.0-test/modules.order")?.data)).toBe(
    "kernel/drivers/virtio_ring.ko\nkernel/drivers/virtio.ko\n",
  );
});

test("the same parts → the same bytes", () => {
  expect(buildInitramfs(parts)).toEqual(buildInitramfs({ ...parts, modules: [...modules] }));
});

test("further files → there with their folders, in place of the image's own", () => {
  const files = [
    { path: "opt/agent/run", mode: 0o755, data: "agent" },
    { path: "etc/hostname", data: "mine\n" },
  ];
  const entries = readCpio(buildInitramfs({ ...parts, files }));
  const find = (path: string) => entries.find((entry) => entry.path === path);
  expect(find("opt/agent")?.type).toBe("directory");
  expect(text(find("opt/agent/run")?.data)).toBe("agent");
  expect(entries.filter((entry) => entry.path === "etc/hostname")).toHaveLength(1);
  expect(text(find("etc/hostname")?.data)).toBe("mine\n");
});
