import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { isQueztlError } from "@queztl/errors";
import { plainStream } from "../byte-stream.ts";
import { badLayout, chooseManifest, parseOciConfig, parseOciDocument } from "../oci/documents.ts";
import type { Descriptor, OciConfig } from "../oci/documents.ts";
import { applyLayer } from "../oci/whiteouts.ts";
import type { ContentStore, UnpackLimits } from "../tar/unpack-tar.ts";
import { FileTree } from "../tree/file-tree.ts";
import type { OnProgress } from "./progress.ts";

/** The most bytes of an index, a manifest or a configuration. */
const DOCUMENT_BYTES_MAX = 4 << 20;
/** How many indexes may refer to each other. */
const DEPTH_MAX = 4;

/** How to read a layout. */
export interface OciLayoutOptions {
  /** The name of the image where the layout has several. */
  readonly image?: string | undefined;
  readonly store: ContentStore;
  readonly limits?: UnpackLimits | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

/**
 * Reads an image out of an OCI layout on disk (OCI Image Format Specification, "Image Layout"): every blob's
 * size and digest is checked before what it holds is used.
 * @throws QZ_IMAGES_BAD_LAYOUT, QZ_IMAGES_CHECKSUM, and what unpacking layers throws.
 */
export async function readOciLayout(
  folder: string,
  options: OciLayoutOptions,
): Promise<{ tree: FileTree; config: OciConfig }> {
  const { image, store, limits, signal, onProgress } = options;
  const marker = await document(join(folder, "oci-layout"));
  if (!/"imageLayoutVersion"\s*:\s*"1\./.test(marker)) throw badLayout("its version is not 1");
  let what = "index.json";
  let parsed = parseOciDocument(await document(join(folder, what)), what);
  let name = image;
  for (let depth = 0; parsed.kind === "index"; depth++) {
    if (depth === DEPTH_MAX) throw badLayout("its indexes are nested too deeply");
    const chosen = chooseManifest(parsed.manifests, name);
    // The name is in the outermost index only.
    name = undefined;
    what = chosen.digest;
    parsed = parseOciDocument(await blob(folder, chosen), what);
  }
  const config = parseOciConfig(await blob(folder, parsed.config), parsed.config.digest);
  const tree = new FileTree();
  for (const layer of parsed.layers) {
    signal?.throwIfAborted();
    onProgress({ step: "verify", package: layer.digest, totalBytes: layer.size });
    await verify(folder, layer, signal);
    onProgress({ step: "unpack", package: layer.digest, totalBytes: layer.size });
    const file = createReadStream(blobPath(folder, layer), { highWaterMark: 1 << 18 });
    try {
      const stream = await plainStream(Readable.toWeb(file) as ReadableStream<Uint8Array>);
      await applyLayer(stream, tree, { store, signal, ...(limits && { limits }) });
    } catch (cause) {
      signal?.throwIfAborted();
      if (isQueztlError(cause)) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw badLayout(`the layer ${layer.digest} cannot be read: ${reason}`, cause);
    } finally {
      file.destroy();
    }
  }
  return { tree, config };
}

function blobPath(folder: string, { digest }: Descriptor): string {
  // A digest is checked to be letters, a colon and hexadecimal digits.
  return join(folder, "blobs", ...digest.split(":"));
}

async function blob(folder: string, descriptor: Descriptor): Promise<string> {
  if (descriptor.size > DOCUMENT_BYTES_MAX) throw badLayout(`${descriptor.digest} is too large`);
  await verify(folder, descriptor, undefined);
  return await document(blobPath(folder, descriptor));
}

async function document(path: string): Promise<string> {
  return await readable(path, async () => {
    if ((await stat(path)).size > DOCUMENT_BYTES_MAX) throw badLayout(`${path} is too large`);
    return await readFile(path, "utf8");
  });
}

async function verify(
  folder: string,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { digest, size } = descriptor;
  const path = blobPath(folder, descriptor);
  await readable(path, async () => {
    const actualSize = (await stat(path)).size;
    if (actualSize !== size) throw badLayout(`${digest} has ${actualSize} bytes, not ${size}`);
    const [algorithm = "", expected] = digest.split(":");
    const hash = createHash(algorithm);
    const stream = createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) });
    for await (const chunk of stream) hash.update(chunk as Buffer);
    const actual = hash.digest("hex");
    if (actual !== expected) throw badLayout(`${digest} has the digest ${actual}: it was altered`);
  });
}

async function readable<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (isQueztlError(cause) || (cause instanceof Error && cause.name === "AbortError"))
      throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw badLayout(`${path} cannot be read: ${reason}`, cause);
  }
}
