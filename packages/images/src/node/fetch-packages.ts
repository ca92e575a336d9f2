import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import type { QueztlError } from "@queztl/errors";
import { imagesError } from "../errors.ts";
import type { DebianPackage } from "../package-index.ts";
import { aptArchives } from "./apt-archives.ts";
import { aptSource } from "./apt.ts";
import { isMissing, readVerified, sha256, writeAtomically } from "./cache.ts";
import { DEBIAN_MIRRORS, mirrorSource } from "./mirror.ts";
import type { PackageSource } from "./package-source.ts";
import type { OnProgress } from "./progress.ts";

/** Where packages come from unless the caller says otherwise: apt, its archives, mirrors, apt with lists of its own. */
export function defaultSources(
  home: string,
  mirrors: readonly string[] = DEBIAN_MIRRORS,
): PackageSource[] {
  const apt = [aptSource(), aptArchives()];
  return [...apt, ...mirrors.map(mirrorSource), aptSource(join(home, "apt"))];
}

/** The place of a package in the cache. */
export function cachedPackage(home: string, wanted: DebianPackage): string {
  return join(home, "packages", `${wanted.sha256}.deb`);
}

/**
 * Sees to it that packages are in the cache: those that are missing are asked for together where a source
 * can do that, and singly otherwise. Each is checked again when it is read.
 */
export async function cachePackages(
  wanted: readonly DebianPackage[],
  fetching: Fetching,
): Promise<void> {
  const { home, sources, signal, onProgress } = fetching;
  let missing = await absent(home, wanted);
  const totalBytes = missing.reduce((sum, { size }) => sum + size, 0);
  let bytes = 0;
  for (const source of sources) {
    if (missing.length < 2 || !source.fetchMany) continue;
    signal?.throwIfAborted();
    onProgress({ step: "download", source: source.name, bytes, totalBytes });
    try {
      const debs = await source.fetchMany(missing, { signal });
      for (const each of missing) {
        const deb = debs.get(each.sha256);
        if (!deb || sha256(deb) !== each.sha256) continue;
        await writeAtomically(cachedPackage(home, each), deb);
        bytes += each.size;
      }
    } catch {
      // Asked for singly, each source says why not.
      signal?.throwIfAborted();
    }
    missing = await absent(home, missing);
  }
  const queue = [...missing];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await fetchPackage(next, fetching);
  };
  await Promise.all(Array.from({ length: PARALLEL_FETCHES }, worker));
}

const PARALLEL_FETCHES = 4;

async function absent(home: string, wanted: readonly DebianPackage[]): Promise<DebianPackage[]> {
  const there = await Promise.all(
    wanted.map(async (each) => {
      try {
        return (await stat(cachedPackage(home, each))).size === each.size;
      } catch (error) {
        if (isMissing(error)) return false;
        throw error;
      }
    }),
  );
  return wanted.filter((_, i) => !there[i]);
}

/** Where packages come from and go to. */
export interface Fetching {
  readonly home: string;
  readonly sources: readonly PackageSource[];
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

/** A package from the cache or the first source that has it with the right checksum. */
export async function fetchPackage(wanted: DebianPackage, fetching: Fetching): Promise<Uint8Array> {
  const path = cachedPackage(fetching.home, wanted);
  const cached = await readVerified(path, wanted.sha256);
  if (cached) return cached;
  const { sources, signal, onProgress } = fetching;
  const progress = { step: "download", package: wanted.name, totalBytes: wanted.size } as const;
  const deb = await fromFirst(wanted.name, sources, signal, async (source) => {
    onProgress({ ...progress, bytes: 0, source: source.name });
    const bytes = await source.fetch(wanted, {
      signal,
      onBytes: (received) => onProgress({ ...progress, bytes: received, source: source.name }),
    });
    const actual = sha256(bytes);
    if (actual === wanted.sha256) return bytes;
    const what = `${wanted.name} from ${source.name}`;
    throw imagesError("QZ_IMAGES_CHECKSUM", { what, actual, expected: wanted.sha256 });
  });
  onProgress({ ...progress, bytes: wanted.size });
  await writeAtomically(path, deb);
  return deb;
}

/** Asks the sources in turn. When all fail, a checksum that did not match is what the caller must hear of. */
export async function fromFirst<Result>(
  name: string,
  sources: readonly PackageSource[],
  signal: AbortSignal | undefined,
  ask: (source: PackageSource) => Promise<Result>,
): Promise<Result> {
  const failures: string[] = [];
  let altered: QueztlError | undefined;
  for (const source of sources) {
    signal?.throwIfAborted();
    try {
      return await ask(source);
    } catch (cause) {
      signal?.throwIfAborted();
      if (isQueztlError(cause, "QZ_IMAGES_CHECKSUM")) altered ??= cause;
      failures.push(`${source.name}: ${reasonOf(cause)}`);
    }
  }
  if (altered) throw altered;
  const reason = failures.length > 0 ? failures.join("; ") : "there is no source to ask";
  throw imagesError("QZ_IMAGES_UNAVAILABLE", { package: name, reason });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message.trim().split("\n").at(-1)}${cause}`;
}
