import { decompress, detectCompression } from "@queztl/boot";
import { readDeb } from "./deb.ts";
import { imagesError } from "./errors.ts";
import type { FlavourRecipe } from "./flavours.ts";
import { loadOrder, moduleName, parseModule } from "./modules.ts";
import type { KernelModule } from "./modules.ts";

/** What an image needs of a Debian kernel package. */
export interface KernelParts {
  /** The kernel's release, as `uname -r` prints it. */
  readonly release: string;
  readonly bzImage: Uint8Array;
  /** The wanted modules with all they depend on, in the order to load them. */
  readonly modules: readonly KernelModule[];
  /** modules.builtin: the paths of modules that are part of the kernel. */
  readonly builtin: string;
}

/**
 * Takes the kernel and the wanted modules, with all they depend on, out of a linux-image package.
 * @throws QZ_IMAGES_BAD_PACKAGE, QZ_IMAGES_MODULE_MISSING for a module that is neither there nor built in.
 */
export async function readKernelPackage(
  deb: Uint8Array,
  recipe: FlavourRecipe,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<KernelParts> {
  const modules = new Map<string, KernelModule>();
  const sought = new Set<string>([...recipe.modules, ...recipe.dependencies]);
  let bzImage: Uint8Array | undefined;
  let release = "";
  let builtin = "";
  let asked = new Set<string>();
  // A pass finds what is known to be needed; what it turns out to depend on takes another.
  while (asked.size < sought.size) {
    const pass = new Set([...sought].filter((name) => !asked.has(name)));
    const files = await readDeb(
      deb,
      (path) =>
        (bzImage === undefined && /^boot\/vmlinuz-[^/]+$/.test(path)) ||
        path.endsWith("/modules.builtin") ||
        (MODULE.test(path) && pass.has(moduleName(path))),
      options,
    );
    asked = new Set(sought);
    for (const { path, data } of files) {
      if (path.startsWith("boot/")) {
        release = path.slice("boot/vmlinuz-".length);
        bzImage = data;
      } else if (path.endsWith("/modules.builtin")) {
        builtin = new TextDecoder().decode(data);
      } else {
        const plain = detectCompression(data) ? await decompress(data) : data;
        const below = path.replace(MODULE, "$1").replace(/\.(xz|zst|gz)$/, "");
        const module = parseModule(below, plain);
        modules.set(module.name, module);
        for (const name of module.depends) sought.add(name);
      }
    }
  }
  if (!bzImage) {
    throw imagesError("QZ_IMAGES_BAD_PACKAGE", { what: "the .deb", reason: "it has no kernel" });
  }
  const builtIn = new Set(builtin.split("\n").map((line) => moduleName(line)));
  const missing = recipe.modules.filter((name) => !modules.has(name) && !builtIn.has(name));
  if (missing.length > 0) {
    const names = missing.join(", ");
    throw imagesError("QZ_IMAGES_MODULE_MISSING", { package: release, modules: names });
  }
  // Hints that nothing turned out to depend on stay out.
  const needed = new Set<string>();
  const need = (name: string) => {
    const module = modules.get(name);
    if (!module || needed.has(name)) return;
    needed.add(name);
    module.depends.forEach(need);
  };
  recipe.modules.forEach(need);
  const kept = [...modules.values()].filter((module) => needed.has(module.name));
  kept.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { release, bzImage, modules: loadOrder(kept), builtin };
}

const MODULE = /^(?:usr\/)?lib\/modules\/[^/]+\/(.+\.ko(?:\.(?:xz|zst|gz))?)$/;
