import { imagesError } from "./errors.ts";

/** A loadable kernel module and what its .modinfo section says. */
export interface KernelModule {
  /** With "_" for every "-", as the kernel names it: "virtio_rng". */
  readonly name: string;
  /** Path below /lib/modules/RELEASE: "kernel/drivers/char/hw_random/virtio-rng.ko". */
  readonly path: string;
  readonly data: Uint8Array;
  /** Names of the modules that must be loaded before, from `depends=`. */
  readonly depends: readonly string[];
  /** Device patterns the module serves, from `alias=`. */
  readonly aliases: readonly string[];
}

/** The name the kernel gives to the module in a file: `virtio-rng.ko` is `virtio_rng`. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return file.replace(/\.ko(\.(xz|zst|gz))?$/, "").replaceAll("-", "_");
}

/**
 * Reads a module's dependencies and aliases from its .modinfo section (ELF-64, little-endian).
 * @param path below /lib/modules/RELEASE.
 * @throws QZ_IMAGES_BAD_MODULE
 */
export function parseModule(path: string, data: Uint8Array): KernelModule {
  const fields = modinfo(path, data);
  const values = (key: string) =>
    fields.filter((field) => field.startsWith(`${key}=`)).map((f) => f.slice(key.length + 1));
  const depends = values("depends")
    .flatMap((list) => list.split(","))
    .filter((name) => name !== "")
    .map((name) => name.replaceAll("-", "_"));
  return { name: moduleName(path), path, data, depends, aliases: values("alias") };
}

/**
 * The order to load modules in: each after all it depends on, otherwise as given.
 * @throws QZ_IMAGES_MODULE_MISSING for a dependency that is not among them, QZ_IMAGES_MODULE_CYCLE
 */
export function loadOrder(modules: readonly KernelModule[]): KernelModule[] {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const order = new Set<KernelModule>();
  const visit = (module: KernelModule, path: readonly string[]): void => {
    if (order.has(module)) return;
    const way = [...path, module.name];
    if (path.includes(module.name)) {
      throw imagesError("QZ_IMAGES_MODULE_CYCLE", { modules: way.join(" → ") });
    }
    for (const name of module.depends) {
      const dependency = byName.get(name);
      if (!dependency) {
        throw imagesError("QZ_IMAGES_MODULE_MISSING", { package: module.name, modules: name });
      }
      visit(dependency, way);
    }
    order.add(module);
  };
  for (const module of modules) visit(module, []);
  return [...order];
}

/**
 * The text of modules.dep, as depmod(8) writes it: after each module's path all that it needs, nearest
 * first, so that modprobe loads from the end of the line.
 */
export function modulesDep(modules: readonly KernelModule[]): string {
  const order = loadOrder(modules);
  const byName = new Map(order.map((module) => [module.name, module]));
  const closures = new Map<KernelModule, Set<KernelModule>>();
  for (const module of order) {
    const all = new Set<KernelModule>();
    for (const name of module.depends) {
      const dependency = byName.get(name) as KernelModule;
      for (const deeper of closures.get(dependency) ?? []) all.add(deeper);
      all.add(dependency);
    }
    closures.set(module, all);
  }
  return order
    .map((module) => [
      `${module.path}:`,
      ...[...(closures.get(module) ?? [])].toReversed().map((m) => m.path),
    ])
    .map((line) => `${line.join(" ")}\n`)
    .join("");
}

/** The text of modules.alias, as depmod(8) writes it: which module serves which device pattern. */
export function modulesAlias(modules: readonly KernelModule[]): string {
  return loadOrder(modules)
    .flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`))
    .join("");
}

const SECTION_HEADER_BYTES = 64;
const ascii = new TextDecoder("latin1");

/** The zero-terminated strings of the .modinfo section. */
function modinfo(path: string, data: Uint8Array): string[] {
  const bad = (reason: string) => imagesError("QZ_IMAGES_BAD_MODULE", { module: path, reason });
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const elf64 = data.length >= 64 && view.getUint32(0) === 0x7f454c46 && data[4] === 2;
  if (!elf64 || data[5] !== 1) throw bad("no 64-bit ELF file");
  const headers = Number(view.getBigUint64(40, true));
  const headerBytes = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  const namesIndex = view.getUint16(62, true);
  const inside = headerBytes === SECTION_HEADER_BYTES && headers + count * 64 <= data.length;
  if (!inside || namesIndex >= count) throw bad("its section headers are damaged");

  const section = (index: number): Uint8Array => {
    const at = headers + index * SECTION_HEADER_BYTES;
    const offset = Number(view.getBigUint64(at + 24, true));
    const size = Number(view.getBigUint64(at + 32, true));
    if (offset + size > data.length) throw bad("a section is cut");
    return data.subarray(offset, offset + size);
  };
  const names = section(namesIndex);
  for (let i = 0; i < count; i++) {
    const nameAt = view.getUint32(headers + i * SECTION_HEADER_BYTES, true);
    if (ascii.decode(names.subarray(nameAt, nameAt + 9)) !== ".modinfo\0") continue;
    return ascii.decode(section(i)).split("\0");
  }
  throw bad("no .modinfo section");
}
