import { isQueztlError } from "@queztl/errors";
import { readAr } from "./ar.ts";
import { plainStream, streamOf } from "./byte-stream.ts";
import { imagesError } from "./errors.ts";
import { readTar } from "./tar/read-tar.ts";

/** A file of a Debian package, with its path relative to the root: "boot/vmlinuz-6.1.0". */
export interface DebFile {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Which files to take; the others are skipped without being held in memory. */
export type DebFilter = (path: string) => boolean;

/** The most bytes a single wanted file may have: a hostile package must not exhaust the host. */
const FILE_BYTES_MAX = 512 << 20;

/** The two archives of a package: its files, and what dpkg needs to know of it. */
export type DebPart = "data" | "control";

/**
 * Opens one of the tar archives of a .deb (deb(5)): an ar archive with control.tar and data.tar,
 * compressed by xz, zstd, gzip or not at all.
 * @throws QZ_IMAGES_BAD_PACKAGE; reading the stream throws what the decompression throws.
 */
export async function openDeb(deb: Uint8Array, part: DebPart): Promise<ReadableStream<Uint8Array>> {
  const members = readAr(deb);
  if (members[0]?.name !== "debian-binary") throw badDeb("it has no debian-binary");
  const version = new TextDecoder().decode(members[0].data);
  if (!version.startsWith("2."))
    throw badDeb(`its format is ${JSON.stringify(version.slice(0, 8))}`);
  const data = members.find((member) => member.name.startsWith(`${part}.tar`))?.data;
  if (!data) throw badDeb(`it has no ${part}.tar`);
  return await plainStream(streamOf(data));
}

/**
 * Reads the wanted regular files of a .deb. Streams: only wanted files are held in memory.
 * @throws QZ_IMAGES_BAD_PACKAGE
 */
export async function readDeb(
  deb: Uint8Array,
  wanted: DebFilter,
  options: { signal?: AbortSignal | undefined; part?: DebPart } = {},
): Promise<DebFile[]> {
  return await asDebErrors(options.signal, async () => {
    const files: DebFile[] = [];
    for await (const entry of readTar(await openDeb(deb, options.part ?? "data"))) {
      options.signal?.throwIfAborted();
      const path = entry.path.replace(/^\.\//, "");
      if (entry.type !== "file" || !wanted(path)) continue;
      if (entry.size > FILE_BYTES_MAX) {
        throw badDeb(`${path} has ${entry.size} bytes, more than a file may have`);
      }
      const data = new Uint8Array(entry.size);
      let at = 0;
      for await (const chunk of entry.content()) {
        data.set(chunk, at);
        at += chunk.length;
      }
      files.push({ path, data });
    }
    return files;
  });
}

/** Runs work on a package; what is wrong with its archives becomes QZ_IMAGES_BAD_PACKAGE. */
export async function asDebErrors<Result>(
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    signal?.throwIfAborted();
    if (isQueztlError(cause) && !isQueztlError(cause, "QZ_IMAGES_BAD_ARCHIVE")) throw cause;
    throw badDeb(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function badDeb(reason: string, cause?: unknown) {
  return imagesError("QZ_IMAGES_BAD_PACKAGE", { what: "the .deb", reason }, { cause });
}
