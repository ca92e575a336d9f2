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

/** Where the two classes of ELF files keep what is read of them: in the file's header, and in a section's. */
const ELF_CLASSES = {
  1: { headers: 32, headerBytes: 46, sectionBytes: 40, offset: 16, size: 20 },
  2: { headers: 40, headerBytes: 58, sectionBytes: 64, offset: 24, size: 32 },
} as const;

const ascii = new TextDecoder("latin1");

/** The zero-terminated strings of the .modinfo section. */
function modinfo(path: string, data: Uint8Array): string[] {
  const bad = (reason: string) => imagesError("QZ_IMAGES_BAD_MODULE", { module: path, reason });
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const isElf = data.length >= 64 && view.getUint32(0) === 0x7f454c46 && data[5] === 1;
  const width = data[4];
  if (!isElf || (width !== 1 && width !== 2)) throw bad("no ELF file for x86");
  const at = ELF_CLASSES[width];
  const word = (offset: number): number =>
    width === 2 ? Number(view.getBigUint64(offset, true)) : view.getUint32(offset, true);
  const headers = word(at.headers);
  const headerBytes = view.getUint16(at.headerBytes, true);
  const count = view.getUint16(at.headerBytes + 2, true);
  const namesIndex = view.getUint16(at.headerBytes + 4, true);
  const inside =
    headerBytes === at.sectionBytes && headers + count * at.sectionBytes <= data.length;
  if (!inside || namesIndex >= count) throw bad("its section headers are damaged");

  const section = (index: number): Uint8Array => {
    const header = headers + index * at.sectionBytes;
    const offset = word(header + at.offset);
    const size = word(header + at.size);
    if (offset + size > data.length) throw bad("a section is cut");
    return data.subarray(offset, offset + size);
  };
  const names = section(namesIndex);
  for (let i = 0; i < count; i++) {
    const nameAt = view.getUint32(headers + i * at.sectionBytes, true);
    if (ascii.decode(names.subarray(nameAt, nameAt + 9)) !== ".modinfo\0") continue;
    return ascii.decode(section(i)).split("\0");
  }
  throw bad("no .modinfo section");
}
