import { createReadStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream as NodeWebStream } from "node:stream/web";
import { isQueztlError } from "@queztl/errors";
import { plainStream } from "../byte-stream.ts";
import type { PreparedCommand } from "../debian/recipes.ts";
import { imagesError } from "../errors.ts";
import type { Flavour } from "../flavours.ts";
import { badArchive } from "../tar/tar-header.ts";
import { unpackTar } from "../tar/unpack-tar.ts";
import type { ContentStore, UnpackLimits } from "../tar/unpack-tar.ts";
import { FileTree } from "../tree/file-tree.ts";
import { buildDisk } from "./build-disk.ts";
import { withBuildLock } from "./build-lock.ts";
import { buildFolder, checkName, imagesFolder, lockOf, readRecord } from "./catalogue.ts";
import type { DiskRecord, ImageProcess } from "./catalogue.ts";
import { readOciLayout } from "./oci-layout.ts";
import { BUILT_IN_IMAGES, listImages } from "./open-image.ts";
import type { ImageSummary } from "./open-image.ts";
import { queztlHome } from "./home.ts";
import type { OnProgress } from "./progress.ts";

/** What an image is made from, and how. */
export interface ImportImageOptions {
  /** Lower-case letters, digits, ".", "-" and "_"; not one of the images that Queztl makes itself. */
  readonly name: string;
  readonly from:
    | {
        /** A root file system in a tar archive: its path, or its bytes. May be gzip, xz or zstd. */
        readonly tar: string | ReadableStream<Uint8Array>;
      }
    | {
        /** A folder in the OCI image layout. */
        readonly oci: string;
        /** Which of its images, by its reference name, where it has several. */
        readonly image?: string;
      };
  /** The kernel to run it with; default "cloud". */
  readonly flavour?: Flavour;
  /** The disk's size in bytes; left out, what the files take and `freeBytes`. */
  readonly size?: number;
  /** Room for the guest's own files where `size` is not given; default 1 GiB. */
  readonly freeBytes?: number;
  /** Commands to run once in a template. */
  readonly warmUp?: readonly (readonly string[])[];
  /** Commands that wait in a template. */
  readonly prepared?: readonly PreparedCommand[];
  /** True puts it in place of an image of the same name. */
  readonly replace?: boolean;
  readonly limits?: UnpackLimits;
  /** Default: `queztlHome()`. */
  readonly home?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/**
 * Makes a disk image of one's own from a root file system and puts it into the catalogue, whole or not at
 * all. The same input gives the same disk. Nothing of it is executed.
 * @throws QZ_IMAGES_BAD_NAME, QZ_IMAGES_EXISTS, QZ_IMAGES_BAD_ARCHIVE, QZ_IMAGES_BAD_LAYOUT,
 * QZ_IMAGES_BAD_PATH, QZ_IMAGES_BAD_FILE, QZ_IMAGES_TOO_LARGE, QZ_IMAGES_DISK_FULL, QZ_IMAGES_BAD_DISK,
 * QZ_IMAGES_HOME, QZ_IMAGES_CANCELLED
 */
export async function importImage(options: ImportImageOptions): Promise<ImageSummary> {
  const { name, signal, home = queztlHome() } = options;
  checkName(name, BUILT_IN_IMAGES);
  try {
    signal?.throwIfAborted();
    const onWait = () => options.onProgress?.({ step: "wait" });
    await withBuildLock(lockOf(home, name), { signal, onWait }, () => build(home, options));
  } catch (cause) {
    if (signal?.aborted) throw imagesError("QZ_IMAGES_CANCELLED", {}, { cause });
    throw cause;
  }
  const image = (await listImages({ home })).find((each) => each.name === name);
  if (!image) throw imagesError("QZ_IMAGES_NO_IMAGE", { name, known: "what is left" });
  return image;
}

async function build(home: string, options: ImportImageOptions): Promise<void> {
  const { name, from, signal, limits, onProgress = () => undefined } = options;
  if (options.replace !== true && (await readRecord(join(imagesFolder(home), name)))) {
    throw imagesError("QZ_IMAGES_EXISTS", { name });
  }
  await buildFolder(home, name, async (folder) => {
    let process: ImageProcess | undefined;
    const record = (): Omit<DiskRecord, "format" | "kind" | "disk" | "builtAt"> => ({
      name,
      origin: "oci" in from ? "oci" : "tar",
      flavour: options.flavour ?? "cloud",
      warmUp: options.warmUp ?? [],
      ...(options.prepared && { prepared: options.prepared }),
      ...(process && { process }),
    });
    await buildDisk(folder, {
      async tree(spool) {
        const { store } = spool;
        if ("tar" in from) return await tarTree(from.tar, { store, limits, signal, onProgress });
        const { image } = from;
        const read = await readOciLayout(from.oci, { image, store, limits, signal, onProgress });
        process = read.config;
        return read.tree;
      },
      record,
      identity: name,
      size: options.size,
      freeBytes: options.freeBytes ?? 2 ** 30,
      signal,
      onProgress,
    });
  });
}

async function tarTree(
  tar: string | ReadableStream<Uint8Array>,
  options: {
    store: ContentStore;
    limits: UnpackLimits | undefined;
    signal: AbortSignal | undefined;
    onProgress: OnProgress;
  },
): Promise<FileTree> {
  const { store, limits, signal, onProgress } = options;
  onProgress({ step: "unpack" });
  const source =
    typeof tar === "string" ? createReadStream(tar) : Readable.fromWeb(tar as NodeWebStream);
  const stream = Readable.toWeb(source) as ReadableStream<Uint8Array>;
  const tree = new FileTree();
  try {
    const plain = await plainStream(stream);
    await unpackTar(plain, tree, { store, signal, ...(limits && { limits }) });
  } catch (cause) {
    signal?.throwIfAborted();
    if (isQueztlError(cause)) throw cause;
    throw badArchive(cause instanceof Error ? cause.message : String(cause), cause);
  } finally {
    source.destroy();
  }
  return tree;
}
