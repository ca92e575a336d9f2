import { imagesError } from "../errors.ts";
import type { FileContent, TreeInput } from "../tree/node.ts";
import { bytesContent } from "../tree/node.ts";
import type { AddOptions, FileTree } from "../tree/file-tree.ts";
import { readTar } from "./read-tar.ts";
import type { TarEntry } from "./read-tar.ts";

/** Keeps a file's bytes until the disk is written: in memory, in a spool file. */
export type ContentStore = (size: number, bytes: AsyncIterable<Uint8Array>) => Promise<FileContent>;

/** What an unpacked archive may use of the host. */
export interface UnpackLimits {
  /** Bytes of all contents; default 16 GiB. */
  readonly bytes?: number;
  /** Entries; default a million. */
  readonly files?: number;
}

/** How to unpack. */
export interface UnpackOptions {
  /** Default: in memory. */
  readonly store?: ContentStore;
  readonly limits?: UnpackLimits;
  readonly signal?: AbortSignal | undefined;
  /** Called with each entry before it is added; false leaves it out. May be used to handle it otherwise. */
  readonly filter?: (entry: TarEntry) => boolean;
  readonly overLink?: AddOptions["overLink"];
}

const DEFAULT_BYTES_MAX = 16 * 2 ** 30;
const DEFAULT_FILES_MAX = 1_000_000;

/** Keeps contents in memory. */
export const memoryStore: ContentStore = async (size, bytes) => {
  const whole = new Uint8Array(size);
  let at = 0;
  for await (const chunk of bytes) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return bytesContent(whole);
};

/**
 * Adds the entries of a tar archive to a tree, later ones over earlier ones.
 * @throws QZ_IMAGES_BAD_ARCHIVE; QZ_IMAGES_BAD_PATH for entries that would leave the tree;
 * QZ_IMAGES_BAD_FILE; QZ_IMAGES_TOO_LARGE past the limits.
 */
export async function unpackTar(
  stream: AsyncIterable<Uint8Array>,
  tree: FileTree,
  options: UnpackOptions = {},
): Promise<void> {
  const { store = memoryStore, limits = {}, signal, filter = () => true, overLink } = options;
  const { bytes: bytesMax = DEFAULT_BYTES_MAX, files: filesMax = DEFAULT_FILES_MAX } = limits;
  let bytes = 0;
  let files = 0;
  for await (const entry of readTar(stream)) {
    signal?.throwIfAborted();
    bytes += entry.size;
    files++;
    if (bytes > bytesMax || files > filesMax) {
      const limit = bytes > bytesMax ? `${bytesMax} bytes` : `${filesMax} files`;
      throw imagesError("QZ_IMAGES_TOO_LARGE", { what: "the archive", limit });
    }
    if (!filter(entry)) continue;
    if (entry.type === "link") tree.link(entry.path, entry.target);
    else
      tree.add(entry.path, await inputOf(entry, entry.type, store), overLink ? { overLink } : {});
  }
}

async function inputOf(
  entry: TarEntry,
  type: Exclude<TarEntry["type"], "link">,
  store: ContentStore,
): Promise<TreeInput> {
  const { mode, uid, gid, mtime, xattrs, target, major, minor, size } = entry;
  const attributes = { mode, uid, gid, mtime, xattrs };
  switch (type) {
    case "file":
      return { type, ...attributes, content: await store(size, entry.content()) };
    case "symlink":
      return { type, ...attributes, target };
    case "character-device":
    case "block-device":
      return { type, ...attributes, major, minor };
    default:
      return { type, ...attributes };
  }
}
