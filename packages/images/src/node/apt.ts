import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { compareVersions, parsePackageIndex } from "../package-index.ts";
import type { DebianPackage } from "../package-index.ts";
import { sha256 } from "./cache.ts";
import type { FetchOptions, PackageSource } from "./package-source.ts";

const run = promisify(execFile);

/** Debian's whole index is 50 MB of text. */
const INDEX_BYTES_MAX = 512 << 20;

/** Options that make apt keep its package lists in a folder of ours, which needs no root. */
function privateLists(folder: string): string[] {
  return [
    "-o",
    `Dir::State::Lists=${join(folder, "lists")}`,
    "-o",
    `Dir::Cache=${join(folder, "cache")}`,
  ];
}

/**
 * Debian's own package client, with the mirrors, proxies and keys it is set up with. It checks signatures.
 * With a folder the package lists are fetched into it first, for a computer whose own lists are empty or old.
 */
export function aptSource(listsFolder?: string): PackageSource {
  const settings = listsFolder === undefined ? [] : privateLists(listsFolder);
  let updated: Promise<void> | undefined;
  const ready = (signal: AbortSignal | undefined): Promise<void> =>
    (updated ??= listsFolder === undefined ? Promise.resolve() : update(listsFolder, signal));

  const show = async (what: string, signal: AbortSignal | undefined): Promise<DebianPackage[]> => {
    await ready(signal);
    const { stdout } = await run("apt-cache", [...settings, "show", what], {
      signal,
      maxBuffer: 16 << 20,
    }).catch((error: unknown) => {
      signal?.throwIfAborted();
      // "No packages found" is an exit status of 100; a missing apt-cache is for the caller to hear.
      if (error instanceof Error && "code" in error && error.code === 100) return { stdout: "" };
      throw error;
    });
    return parsePackageIndex(stdout, "apt");
  };

  return {
    name: listsFolder === undefined ? "apt" : "apt with its own lists",
    async newest(name: string, options: FetchOptions = {}) {
      const found = await show(name, options.signal);
      return found.sort((a, b) => compareVersions(b.version, a.version))[0];
    },
    async index(options: FetchOptions = {}) {
      await ready(options.signal);
      const { stdout } = await run("apt-cache", [...settings, "dumpavail"], {
        signal: options.signal,
        maxBuffer: INDEX_BYTES_MAX,
      });
      return stdout;
    },
    async fetch(wanted: DebianPackage, options: FetchOptions = {}) {
      await ready(options.signal);
      const [deb] = await download(settings, [wanted], options.signal);
      if (!deb) throw new Error(`apt-get left no .deb for ${wanted.name}`);
      return deb;
    },
    async fetchMany(wanted: readonly DebianPackage[], options: FetchOptions = {}) {
      await ready(options.signal);
      const debs = await download(settings, wanted, options.signal);
      return new Map(debs.map((deb) => [sha256(deb), deb]));
    },
  };
}

/** What apt-get puts into an empty folder when asked for these packages. */
async function download(
  settings: readonly string[],
  wanted: readonly DebianPackage[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const folder = await mkdtemp(join(tmpdir(), "queztl-apt-"));
  try {
    const names = wanted.map(({ name, version, path }) => {
      // Named, the other architecture's package is not taken for it.
      const architecture = path.endsWith("_i386.deb") ? ":i386" : "";
      return `${name}${architecture}=${version}`;
    });
    await run("apt-get", [...settings, "-q", "download", ...names], { cwd: folder, signal });
    const files = (await readdir(folder)).filter((file) => file.endsWith(".deb"));
    return await Promise.all(files.map((file) => readFile(join(folder, file))));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function update(folder: string, signal: AbortSignal | undefined): Promise<void> {
  await mkdir(join(folder, "lists", "partial"), { recursive: true });
  await mkdir(join(folder, "cache", "archives", "partial"), { recursive: true });
  await run("apt-get", [...privateLists(folder), "-q", "update"], { signal, maxBuffer: 16 << 20 });
}
