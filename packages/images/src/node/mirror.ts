import { createHash } from "node:crypto";
import { decompress } from "@queztl/boot";
import { imagesError } from "../errors.ts";
import { compareVersions, parsePackageIndex } from "../package-index.ts";
import type { DebianPackage } from "../package-index.ts";
import type { FetchOptions, PackageSource } from "./package-source.ts";

/**
 * Roots of Debian archives that hold Debian 12, in the order they are asked: those that the environment
 * variable `QUEZTL_DEBIAN_MIRRORS` names, separated by spaces; none without it, for apt knows its own.
 */
export const DEBIAN_MIRRORS: readonly string[] = (process.env["QUEZTL_DEBIAN_MIRRORS"] ?? "")
  .split(/\s+/)
  .filter((mirror) => mirror !== "");

const SUITE = "bookworm";
const INDEX = "main/binary-amd64/Packages.xz";
const RELEASE_BYTES_MAX = 4 << 20;
const INDEX_BYTES_MAX = 64 << 20;

/**
 * A Debian archive over HTTP. A pinned package is fetched by its path and needs no index; the index is
 * trusted only over HTTPS, because its signature is not checked here (apt checks it).
 */
export function mirrorSource(mirror: string): PackageSource {
  const base = mirror.replace(/\/+$/, "");
  let text: Promise<string> | undefined;
  let index: Promise<DebianPackage[]> | undefined;
  const readText = (signal: AbortSignal | undefined) => (text ??= readIndex(base, signal));
  return {
    name: base,
    async newest(name: string, options: FetchOptions = {}) {
      const packages = await (index ??= readText(options.signal).then((all) =>
        parsePackageIndex(all, base),
      ));
      return packages
        .filter((candidate) => candidate.name === name)
        .sort((a, b) => compareVersions(b.version, a.version))[0];
    },
    index: async (options: FetchOptions = {}) => await readText(options.signal),
    async fetch(wanted: DebianPackage, options: FetchOptions = {}) {
      return await get(`${base}/${wanted.path}`, { ...options, limit: wanted.size });
    },
  };
}

async function readIndex(base: string, signal: AbortSignal | undefined): Promise<string> {
  const bad = (reason: string) => imagesError("QZ_IMAGES_BAD_INDEX", { source: base, reason });
  if (!base.startsWith("https://")) throw bad("only an index over HTTPS can be trusted");
  const suite = `${base}/dists/${SUITE}`;
  const release = await get(`${suite}/InRelease`, { signal, limit: RELEASE_BYTES_MAX });
  const hashes = new TextDecoder().decode(release).split(/^SHA256:$/m)[1] ?? "";
  const line = new RegExp(`^ ([0-9a-f]{64}) +\\d+ ${INDEX.replaceAll(".", "\\.")}$`, "m");
  const expected = line.exec(hashes)?.[1];
  if (expected === undefined) throw bad(`its InRelease does not list ${INDEX}`);
  const compressed = await get(`${suite}/${INDEX}`, { signal, limit: INDEX_BYTES_MAX });
  const actual = createHash("sha256").update(compressed).digest("hex");
  if (actual !== expected) {
    throw imagesError("QZ_IMAGES_CHECKSUM", { what: `${suite}/${INDEX}`, actual, expected });
  }
  return new TextDecoder().decode(await decompress(compressed));
}

async function get(url: string, options: FetchOptions & { limit: number }): Promise<Uint8Array> {
  const response = await fetch(url, options.signal ? { signal: options.signal } : {});
  if (!response.ok || !response.body) throw new Error(`${url} answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of response.body) {
    chunks.push(chunk);
    total += chunk.length;
    if (total > options.limit) throw new Error(`${url} is longer than ${options.limit} bytes`);
    options.onBytes?.(total);
  }
  return Buffer.concat(chunks);
}
