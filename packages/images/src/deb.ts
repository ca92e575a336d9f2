import { decompressStream, detectCompression } from "@queztl/boot";
import { isQueztlError } from "@queztl/errors";
import { createTarDecoder } from "modern-tar";
import { readAr } from "./ar.ts";
import { imagesError } from "./errors.ts";

/** A file of a Debian package, with its path relative to the root: "boot/vmlinuz-6.1.0". */
export interface DebFile {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Which files to take; the others are skipped without being held in memory. */
export type DebFilter = (path: string) => boolean;

/** The most bytes a single wanted file may have: a hostile package must not exhaust the host. */
const FILE_BYTES_MAX = 512 << 20;

/**
 * Reads the wanted regular files of a .deb (deb(5)): an ar archive with data.tar compressed by xz, zstd,
 * gzip or not at all. Streams: only wanted files are held in memory.
 * @throws QZ_IMAGES_BAD_PACKAGE
 */
export async function readDeb(
  deb: Uint8Array,
  wanted: DebFilter,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<DebFile[]> {
  const members = readAr(deb);
  const bad = (reason: string, cause?: unknown) =>
    imagesError("QZ_IMAGES_BAD_PACKAGE", { what: "the .deb", reason }, { cause });
  if (members[0]?.name !== "debian-binary") throw bad("it has no debian-binary");
  const version = new TextDecoder().decode(members[0].data);
  if (!version.startsWith("2.")) throw bad(`its format is ${JSON.stringify(version.slice(0, 8))}`);
  const data = members.find((member) => member.name.startsWith("data.tar"))?.data;
  if (!data) throw bad("it has no data.tar");
  try {
    const compressed = streamOf(data);
    const format = detectCompression(data);
    const tar = format === undefined ? compressed : await decompressStream(compressed, format);
    return await filesOf(tar, wanted, options.signal);
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (isQueztlError(cause)) throw cause;
    throw bad(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

async function filesOf(
  tar: ReadableStream<Uint8Array>,
  wanted: DebFilter,
  signal: AbortSignal | undefined,
): Promise<DebFile[]> {
  const files: DebFile[] = [];
  const entries = tar.pipeThrough(createTarDecoder({ strict: true }), signal ? { signal } : {});
  for await (const { header, body } of entries) {
    const path = header.name.replace(/^\.\//, "");
    // Each body must be read to its end, wanted or not, before the next entry comes.
    const take = header.type === "file" && wanted(path);
    if (take && header.size > FILE_BYTES_MAX) {
      throw imagesError("QZ_IMAGES_BAD_PACKAGE", {
        what: path,
        reason: `${header.size} bytes are more than a file may have`,
      });
    }
    const content = take ? new Uint8Array(header.size) : undefined;
    let at = 0;
    for await (const chunk of body) {
      content?.set(chunk, at);
      at += chunk.length;
    }
    if (content) files.push({ path, data: content });
  }
  return files;
}

const CHUNK_BYTES = 1 << 18;

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + CHUNK_BYTES));
      at += CHUNK_BYTES;
    },
  });
}
