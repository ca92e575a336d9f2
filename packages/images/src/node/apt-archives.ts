import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PackageSource } from "./package-source.ts";

const run = promisify(execFile);

/** What apt fetches files with; it goes by apt's proxies and needs neither root nor package lists. */
const APT_HELPER = "/usr/lib/apt/apt-helper";

/**
 * The archives that apt is set up with, asked for a pinned package by its path: what apt's lists do not name, such as a
 * package for another architecture. It knows no newest version.
 */
export function aptArchives(): PackageSource {
  let known: Promise<readonly string[]> | undefined;
  return {
    name: "apt's archives",
    newest: () => Promise.resolve(undefined),
    async fetch({ path, sha256 }, { signal } = {}) {
      const roots = await (known ??= archiveRoots());
      const folder = await mkdtemp(join(tmpdir(), "queztl-apt-"));
      const file = join(folder, "package.deb");
      let failure = new Error("apt is set up with no archive");
      try {
        for (const root of roots) {
          try {
            const words = ["-q", "download-file", `${root}/${path}`, file, `SHA256:${sha256}`];
            await run(APT_HELPER, words, { signal });
            return await readFile(file);
          } catch (cause) {
            signal?.throwIfAborted();
            failure = new Error(`${root} does not have ${path}`, { cause });
          }
        }
        throw failure;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** The roots of apt's archives, without a slash: each holds a `pool`. */
async function archiveRoots(): Promise<readonly string[]> {
  const { stdout } = await run("apt-get", ["update", "--print-uris"]);
  return rootsOf(stdout);
}

/** What `apt-get update --print-uris` would fetch, one file a line, says where the archives are. */
export function rootsOf(uris: string): readonly string[] {
  const roots = uris.split("\n").flatMap((line) => /^'([^']+)\/dists\//.exec(line)?.[1] ?? []);
  return [...new Set(roots)];
}
