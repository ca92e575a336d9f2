import { writeCpio } from "@queztl/boot";
import type { CpioInput } from "@queztl/boot";
import { GUEST_FILES } from "./init.ts";
import { loadOrder, modulesAlias, modulesDep } from "./modules.ts";
import type { KernelModule } from "./modules.ts";

/** What an initramfs is made of. */
export interface InitramfsParts {
  /** The kernel's release, as `uname -r` prints it. */
  readonly release: string;
  /** The modules to carry, with all they depend on. */
  readonly modules: readonly KernelModule[];
  /** A statically linked busybox. */
  readonly busybox: Uint8Array;
  /** The kernel's own list of built-in modules, for modprobe; default empty. */
  readonly builtin?: string;
  /** Further files, which may replace the image's own; their folders are made. */
  readonly files?: readonly CpioInput[];
}

const DIRECTORIES = ["bin", "dev", "proc", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin"];

/** The applets that the scripts name by their path; everything else is found where it is installed. */
const APPLETS = ["init", "ip", "modprobe", "poweroff", "reboot", "sh", "umount"];

/**
 * Assembles the initramfs of a small Linux: busybox, an init that loads the drivers of the devices it
 * finds and gives a shell on the console, and the modules with modules.dep and modules.alias. Uncompressed:
 * a guest reads it faster than it unpacks it. The same parts give the same bytes.
 * @throws QZ_IMAGES_MODULE_MISSING, QZ_IMAGES_MODULE_CYCLE
 */
export function buildInitramfs(parts: InitramfsParts): Uint8Array<ArrayBuffer> {
  const { release, busybox, builtin = "", files = [] } = parts;
  const modules = loadOrder(parts.modules);
  const base = `lib/modules/${release}`;
  const entries = new Map<string, CpioInput>();
  const add = (entry: CpioInput) => entries.set(entry.path, entry);

  for (const path of DIRECTORIES) add({ path, type: "directory" });
  add({ path: "root", type: "directory", mode: 0o700 });
  add({ path: "dev/console", type: "character-device", mode: 0o600, major: 5, minor: 1 });
  add({ path: "bin/busybox", mode: 0o755, data: busybox });
  add({ path: "bin/sh", type: "symlink", data: "busybox" });
  // Where the scripts find them in every image; a disk's root gets its own (init.ts).
  add({ path: "queztl/busybox", type: "symlink", data: "/bin/busybox" });
  for (const name of APPLETS) {
    add({ path: `queztl/bin/${name}`, type: "symlink", data: "/bin/busybox" });
  }
  for (const file of GUEST_FILES) add(file);
  for (const module of modules) add({ path: `${base}/${module.path}`, data: module.data });
  const order = modules.map((module) => `${module.path}\n`).join("");
  add({ path: `${base}/modules.order`, data: order });
  add({ path: `${base}/modules.dep`, data: modulesDep(modules) });
  add({ path: `${base}/modules.alias`, data: modulesAlias(modules) });
  add({ path: `${base}/modules.builtin`, data: builtin });
  for (const file of files) add(file);

  const parents = new Set<string>();
  for (const path of entries.keys()) {
    for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
      parents.add(path.slice(0, at));
    }
  }
  for (const path of parents) if (!entries.has(path)) add({ path, type: "directory" });
  // In the order of their names every folder comes before what is in it.
  const sorted = [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return writeCpio(sorted);
}
