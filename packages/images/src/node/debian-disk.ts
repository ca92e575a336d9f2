import { join } from "node:path";
import { pinnedDebian } from "../debian/pinned-debian.ts";
import { DependencyIndex } from "../debian/dependency-index.ts";
import { debianRecipes } from "../debian/recipes.ts";
import type { DebianImageName } from "../debian/recipes.ts";
import { resolvePackages } from "../debian/resolve-packages.ts";
import { debianTree } from "../debian/unpack-debs.ts";
import type { DebianPackage } from "../package-index.ts";
import { buildDisk } from "./build-disk.ts";
import { withBuildLock } from "./build-lock.ts";
import { sha256 } from "./cache.ts";
import { DISK, buildFolder, imagesFolder, lockOf, readRecord } from "./catalogue.ts";
import { cachePackages, fetchPackage, fromFirst } from "./fetch-packages.ts";
import type { Fetching } from "./fetch-packages.ts";
import { isVerified } from "./verified-files.ts";

/** Raise it when a disk changes in a way that its packages and recipe do not show. */
const FORMAT = 2;

/** Which disk. */
export interface DebianDiskOptions {
  /** Default "pinned". */
  readonly versions?: "pinned" | "newest" | undefined;
  /** Default: what the recipe says. */
  readonly freeBytes?: number;
  /** Further packages; what they depend on follows. They are not pinned: all packages are the newest then. */
  readonly packages?: readonly string[] | undefined;
}

/**
 * The folder of a Debian disk image; built where it is missing or was altered. Builders of the same image
 * wait for the first.
 */
export async function debianDisk(
  name: DebianImageName,
  options: DebianDiskOptions,
  fetching: Fetching,
): Promise<string> {
  const { home, signal, onProgress } = fetching;
  const recipe = debianRecipes[name];
  const { versions = "pinned", freeBytes = recipe.freeBytes, packages: further = [] } = options;
  const packages =
    versions === "pinned" && further.length === 0
      ? pinnedDebian(name)
      : await newestPackages(name, further, fetching);
  const inputs = { FORMAT, recipe, freeBytes, packages: packages.map((each) => each.sha256) };
  const key = sha256(JSON.stringify(inputs)).slice(0, 12);
  const folder = `${name}@${key}`;
  const place = join(imagesFolder(home), folder);
  const intact = async () => {
    const record = await readRecord(place);
    const onRead = () => onProgress({ step: "verify" });
    return record && isVerified(join(place, DISK), record.disk.sha256, { signal, onRead });
  };
  if (await intact()) return place;
  const onWait = () => onProgress({ step: "wait" });
  return await withBuildLock(lockOf(home, folder), { signal, onWait }, async () => {
    if (await intact()) return place;
    await cachePackages(packages, fetching);
    return await buildFolder(home, folder, (temporary) =>
      buildDisk(temporary, {
        tree: (spool) =>
          debianTree(
            packages.map((each) => ({
              name: each.name,
              bytes: () => fetchPackage(each, fetching),
            })),
            {
              store: spool.store,
              signal,
              onPackage: (current) => onProgress({ step: "unpack", package: current }),
            },
          ),
        record: () => ({
          name,
          origin: "debian",
          flavour: "cloud",
          warmUp: recipe.warmUp,
          packages: packages.map(({ name: each, version, sha256: sum }) => ({
            name: each,
            version,
            sha256: sum,
          })),
        }),
        identity: folder,
        freeBytes,
        signal,
        onProgress,
      }),
    );
  });
}

async function newestPackages(
  name: DebianImageName,
  further: readonly string[],
  fetching: Fetching,
): Promise<DebianPackage[]> {
  const { packages, without } = debianRecipes[name];
  const { sources, signal, onProgress } = fetching;
  onProgress({ step: "resolve", package: name });
  return await fromFirst(name, sources, signal, async (source) => {
    if (!source.index) throw new Error("it has no index");
    const index = new DependencyIndex(await source.index({ signal }), source.name);
    return resolvePackages(index, [...index.essential, ...packages, ...further], without);
  });
}
