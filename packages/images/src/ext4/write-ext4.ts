import { imagesError } from "../errors.ts";
import { bytesContent, makeNode } from "../tree/node.ts";
import type { DirectoryNode, FileContent, TreeNode } from "../tree/node.ts";
import { byteLength } from "../tree/path.ts";
import { sortedChildren } from "../tree/file-tree.ts";
import type { FileTree } from "../tree/file-tree.ts";
import { BlockAllocator } from "./block-allocator.ts";
import { crc32c } from "./crc32c.ts";
import { directoryBlocks, directoryData } from "./directory.ts";
import type { DirectoryEntry } from "./directory.ts";
import { ExtentList, extentBlocksMax, writeExtentTree } from "./extents.ts";
import type { Extent } from "./extents.ts";
import { BlockWriter } from "./file-blocks.ts";
import {
  BLOCK_BYTES,
  DESCRIPTOR_BYTES,
  FILE_TYPES,
  INODE_BYTES,
  INODE_FLAGS,
  LINKS_MAX,
  RESERVED_INODES,
  SECTOR_BYTES,
} from "./format.ts";
import {
  blockBitmapAt,
  groupEnd,
  groupStart,
  hasSuperblock,
  inodeBitmapAt,
  inodeTableAt,
  planGeometry,
} from "./geometry.ts";
import type { Geometry } from "./geometry.ts";
import { FAST_SYMLINK_BYTES, deviceData, inodeBytes, inodeSeed } from "./inode.ts";
import type { InodeFields } from "./inode.ts";
import { journalBlocks, journalSuperblock } from "./journal.ts";
import { LOST_AND_FOUND, numberInodes } from "./number-inodes.ts";
import type { InodeNumbers, NumberedDirectory, NumberedNode } from "./number-inodes.ts";
import { resizeInode } from "./resize-inode.ts";
import type { DiskSink } from "./sink.ts";
import { SUPERBLOCK_BYTES, bitmap, groupDescriptor, superblockBytes } from "./superblock.ts";
import type { Identity, Usage } from "./superblock.ts";
import { placeXattrs } from "./xattrs.ts";
import type { XattrPlacement } from "./xattrs.ts";

/** How a disk is made. The same tree and options give the same bytes. */
export interface Ext4Options {
  /** The disk's size in bytes; left out, what the files take and `freeBytes`. */
  readonly size?: number;
  /** Room left for the guest's own files where `size` is not given; default 64 MiB. */
  readonly freeBytes?: number;
  /** Files that the guest can make beyond those of the tree, at least; default 1024. */
  readonly freeInodes?: number;
  /** As text, with or without hyphens; default one that all such disks share. */
  readonly uuid?: string;
  /** Also a UUID: mixed into the hashes of names; default that of the disk. */
  readonly hashSeed?: string;
  /** The volume's name, at most 16 bytes; default none. */
  readonly label?: string;
  /** When the disk says it was made, in seconds since 1970-01-01 UTC; default 0. */
  readonly time?: number;
  /** False for a disk that is never written to. Disks below 8 MiB have none either way. Default true. */
  readonly journal?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes of content written so far. */
  readonly onProgress?: (progress: { bytes: number; totalBytes: number }) => void;
}

/** What was written. */
export interface Ext4Disk {
  /** Bytes. */
  readonly size: number;
  /** Bytes that hold something; a sparse file takes about so much. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Files of the tree, hard links once. */
  readonly files: number;
  readonly freeInodes: number;
}

const DEFAULT_UUID = "71756574-7a6c-4000-8000-000000000001";
const LOST_AND_FOUND_BLOCKS = 4;
const PROGRESS_BYTES = 4 << 20;
const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;
const utf8 = new TextEncoder();

/**
 * Writes the files of a tree as an ext4 file system that Linux mounts read-write: extents, 256-byte inodes,
 * a clean journal, metadata checksums, and room to grow to a thousand times its size (at most 1 TiB) with
 * resize2fs. Blocks of zeros become holes. A "lost+found" is added where the tree has none.
 * @throws QZ_IMAGES_DISK_FULL where the files do not fit in `size`; QZ_IMAGES_BAD_DISK for options that no
 * disk can have; QZ_IMAGES_BAD_FILE for a file that cannot be stored; what the sink and the contents throw.
 */
export async function writeExt4(
  tree: FileTree,
  sink: DiskSink,
  options: Ext4Options = {},
): Promise<Ext4Disk> {
  const identity = identityOf(options);
  if (!tree.root.children.has(LOST_AND_FOUND)) {
    tree.root.children.set(LOST_AND_FOUND, lostAndFound(identity.time));
  }
  return await new Ext4Writer(tree, sink, identity, options).write();
}

/** One run of `writeExt4`. */
class Ext4Writer {
  readonly #sink: DiskSink;
  readonly #options: Ext4Options;
  readonly #identity: Identity;
  readonly #numbers: InodeNumbers;
  readonly #xattrs = new Map<TreeNode, XattrPlacement>();
  readonly #geometry: Geometry;
  readonly #journalBlocks: number;
  readonly #allocator: BlockAllocator;
  readonly #blocks: BlockWriter;
  /** Seed of all checksums: that of the UUID. */
  readonly #seed: number;
  /** The inodes up to the last in use, in the order of their numbers. */
  readonly #inodes: Uint8Array;

  constructor(tree: FileTree, sink: DiskSink, identity: Identity, options: Ext4Options) {
    this.#sink = sink;
    this.#options = options;
    this.#identity = identity;
    this.#seed = crc32c(0xffffffff, identity.uuid);
    this.#numbers = numberInodes(tree);
    const { freeBytes = 64 << 20, freeInodes = 1024, size } = options;
    if (!(Number.isSafeInteger(freeBytes) && freeBytes >= 0)) {
      throw badDisk(`it should have ${freeBytes} bytes free`);
    }
    if (!(Number.isSafeInteger(freeInodes) && freeInodes >= 0)) {
      throw badDisk(`it should have ${freeInodes} files free`);
    }
    const files = this.#blocksNeeded();
    const free = size === undefined ? Math.ceil(freeBytes / BLOCK_BYTES) : 0;
    const inodes = this.#numbers.last + (size === undefined ? freeInodes : 0);
    // The journal's size follows from the disk's, which holds it: an estimate without it is close enough.
    const estimate = size === undefined ? files + free : Math.floor(size / BLOCK_BYTES);
    this.#journalBlocks = options.journal === false ? 0 : journalBlocks(estimate);
    const blocks = files + free + this.#journalBlocks + 1;
    this.#geometry = planGeometry({ blocks, inodes, size });
    this.#allocator = new BlockAllocator(this.#geometry);
    this.#blocks = new BlockWriter(sink, this.#allocator);
    this.#inodes = new Uint8Array(this.#numbers.last * INODE_BYTES);
  }

  async write(): Promise<Ext4Disk> {
    const geometry = this.#geometry;
    await this.#sink.setSize(geometry.blocks * BLOCK_BYTES);
    const journal = await this.#writeJournal();
    await this.#writeResizeInode();
    for (const directory of this.#numbers.directories) await this.#writeDirectory(directory);
    await this.#writeFiles();

    const usage = await this.#writeGroups();
    const whole: Usage = { ...usage, journal };
    for (let group = 0; group < geometry.groups; group++) {
      if (!hasSuperblock(group)) continue;
      const at = groupStart(group) * BLOCK_BYTES + (group === 0 ? SUPERBLOCK_BYTES : 0);
      await this.#sink.write(at, superblockBytes(geometry, this.#identity, whole, group));
    }
    const size = geometry.blocks * BLOCK_BYTES;
    const freeBytes = usage.freeBlocks * BLOCK_BYTES;
    return {
      size,
      usedBytes: size - freeBytes,
      freeBytes,
      files: this.#numbers.directories.length + this.#numbers.others.length,
      freeInodes: usage.freeInodes,
    };
  }

  /** The most blocks that all files can take. */
  #blocksNeeded(): number {
    let blocks = 0;
    for (const { node } of this.#numbers.directories) {
      // Names of one and two bytes stand for "." and "..".
      const names = [...node.children.keys()].map((name) => utf8.encode(name));
      const count = directoryBlocks([new Uint8Array(1), new Uint8Array(2), ...names]);
      blocks += Math.max(count, LOST_AND_FOUND_BLOCKS) + extentBlocksMax(count);
    }
    for (const { node } of this.#numbers.others) {
      if (node.type === "symlink") blocks++;
      if (node.type !== "file") continue;
      const count = Math.ceil(node.content.size / BLOCK_BYTES);
      blocks += count + extentBlocksMax(count);
    }
    for (const { node, path } of this.#numbers.byNode.values()) {
      if (node.xattrs.size === 0) continue;
      const placement = placeXattrs(node.xattrs);
      if (typeof placement === "string") {
        throw imagesError("QZ_IMAGES_BAD_FILE", { path, reason: placement });
      }
      this.#xattrs.set(node, placement);
      if (placement.block) blocks++;
    }
    return blocks;
  }

  async #writeJournal(): Promise<Usage["journal"]> {
    const blocks = this.#journalBlocks;
    if (blocks === 0) return undefined;
    const list = new ExtentList();
    for (let i = 0; i < blocks; i++) list.add(i, this.#allocator.take());
    const first = list.extents[0]?.physical ?? 0;
    await this.#writeBlock(first, journalSuperblock(blocks, this.#identity.uuid));
    const { journal } = RESERVED_INODES;
    const data = await this.#writeExtents(journal, list.extents);
    const size = blocks * BLOCK_BYTES;
    const sectors = (blocks + data.blocks) * SECTORS_PER_BLOCK;
    this.#putReserved(journal, { size, sectors, data: data.root, flags: INODE_FLAGS.extents });
    return { data: data.root, size };
  }

  async #writeResizeInode(): Promise<void> {
    if (this.#geometry.reservedDescriptorBlocks === 0) {
      this.#putReserved(RESERVED_INODES.resize, {});
      return;
    }
    const { size, sectors, data, writes } = resizeInode(this.#geometry, this.#allocator.take());
    for (const { block, bytes } of writes) await this.#writeBlock(block, bytes);
    this.#putReserved(RESERVED_INODES.resize, { size, sectors, data });
  }

  async #writeDirectory(directory: NumberedDirectory): Promise<void> {
    const { node, inode, parent } = directory;
    const seed = inodeSeed(this.#seed, inode);
    const minBlocks = inode === RESERVED_INODES.first ? LOST_AND_FOUND_BLOCKS : 1;
    const blocks = directoryData(this.#entriesOf(node, inode, parent), seed, minBlocks);
    const list = new ExtentList();
    for (const [i, bytes] of blocks.entries()) {
      const block = this.#allocator.take();
      list.add(i, block);
      await this.#writeBlock(block, bytes);
    }
    const data = await this.#writeExtents(inode, list.extents);
    await this.#putInode(directory, {
      links: directory.links > LINKS_MAX ? 1 : directory.links,
      size: blocks.length * BLOCK_BYTES,
      blocks: blocks.length + data.blocks,
      data: data.root,
      flags: INODE_FLAGS.extents,
    });
  }

  *#entriesOf(node: DirectoryNode, inode: number, parent: number): Generator<DirectoryEntry> {
    const type = FILE_TYPES.directory.entry;
    yield { name: utf8.encode("."), inode, type };
    yield { name: utf8.encode(".."), inode: parent, type };
    for (const [name, child] of sortedChildren(node)) {
      const numbered = this.#numbers.byNode.get(child) as NumberedNode;
      yield {
        name: utf8.encode(name),
        inode: numbered.inode,
        type: FILE_TYPES[child.type].entry,
      };
    }
  }

  async #writeFiles(): Promise<void> {
    const { signal, onProgress = () => undefined } = this.#options;
    const sizes = this.#numbers.others.map(({ node }) =>
      node.type === "file" ? node.content.size : 0,
    );
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    let bytes = 0;
    let told = 0;
    for (const [i, file] of this.#numbers.others.entries()) {
      signal?.throwIfAborted();
      await this.#writeFile(file);
      bytes += sizes[i] ?? 0;
      if (bytes - told < PROGRESS_BYTES) continue;
      onProgress({ bytes, totalBytes });
      told = bytes;
    }
    onProgress({ bytes, totalBytes });
  }

  async #writeFile(file: NumberedNode): Promise<void> {
    const { node, inode, links } = file;
    const data = dataInInode(node);
    if (data) {
      const size = node.type === "symlink" ? byteLength(node.target) : 0;
      return await this.#putInode(file, { links, size, data });
    }
    const content = contentOf(node);
    const { extents, blocks } = await this.#blocks.write(content, file.path);
    const tree = await this.#writeExtents(inode, extents);
    await this.#putInode(file, {
      links,
      size: content.size,
      blocks: blocks + tree.blocks,
      data: tree.root,
      flags: INODE_FLAGS.extents,
    });
  }

  async #writeExtents(inode: number, extents: readonly Extent[]) {
    return await writeExtentTree(
      extents,
      inodeSeed(this.#seed, inode),
      () => this.#allocator.take(),
      (block, bytes) => this.#writeBlock(block, bytes),
    );
  }

  async #putInode(
    { node, inode }: NumberedNode,
    fields: { links: number; size?: number; blocks?: number; data?: Uint8Array; flags?: number },
  ): Promise<void> {
    const { links, size = 0, blocks = 0, data = new Uint8Array(60), flags = 0 } = fields;
    const { mode, uid, gid, mtime } = node;
    const xattrs = this.#xattrs.get(node);
    let xattrBlock = 0;
    if (xattrs?.block) {
      xattrBlock = this.#allocator.take();
      await this.#writeBlock(xattrBlock, xattrs.block(xattrBlock, this.#seed));
    }
    this.#put(inode, {
      mode: FILE_TYPES[node.type].mode | mode,
      uid,
      gid,
      mtime,
      links,
      size,
      sectors: (blocks + (xattrBlock > 0 ? 1 : 0)) * SECTORS_PER_BLOCK,
      data,
      flags,
      xattrBlock,
      xattrs: xattrs?.inInode,
    });
  }

  #putReserved(
    inode: number,
    fields: { size?: number; sectors?: number; data?: Uint8Array; flags?: number },
  ): void {
    const { size = 0, sectors = 0, data = new Uint8Array(60), flags = 0 } = fields;
    const mode = FILE_TYPES.file.mode | 0o600;
    const owner = { uid: 0, gid: 0, mtime: this.#identity.time, links: 1, xattrBlock: 0 };
    this.#put(inode, { mode, ...owner, size, sectors, data, flags });
  }

  #put(inode: number, fields: InodeFields): void {
    this.#inodes.set(inodeBytes(inode, this.#seed, fields), (inode - 1) * INODE_BYTES);
  }

  /** Writes every group's inodes, bitmaps and descriptor, the descriptors in each copy. */
  async #writeGroups(): Promise<{ freeBlocks: number; freeInodes: number }> {
    const geometry = this.#geometry;
    const { groups, inodesPerGroup } = geometry;
    const directories = new Uint32Array(groups);
    for (const { inode } of this.#numbers.directories) {
      const group = Math.floor((inode - 1) / inodesPerGroup);
      directories[group] = (directories[group] ?? 0) + 1;
    }
    const descriptors = new Uint8Array(geometry.descriptorBlocks * BLOCK_BYTES);
    let freeBlocks = 0;
    let freeInodes = 0;
    for (let group = 0; group < groups; group++) {
      this.#options.signal?.throwIfAborted();
      const blocks = groupEnd(geometry, group) - groupStart(group);
      const usedBlocks = this.#allocator.usedInGroup(group);
      const first = group * inodesPerGroup;
      const usedInodes = Math.min(Math.max(this.#numbers.last - first, 0), inodesPerGroup);
      const usage = {
        blockBitmap: bitmap(usedBlocks, blocks),
        inodeBitmap: bitmap(usedInodes, inodesPerGroup),
        freeBlocks: blocks - usedBlocks,
        freeInodes: inodesPerGroup - usedInodes,
        directories: directories[group] ?? 0,
      };
      freeBlocks += usage.freeBlocks;
      freeInodes += usage.freeInodes;
      await this.#writeBlock(blockBitmapAt(geometry, group), usage.blockBitmap);
      await this.#writeBlock(inodeBitmapAt(geometry, group), usage.inodeBitmap);
      const descriptor = groupDescriptor(geometry, group, usage, this.#seed);
      descriptors.set(descriptor, group * DESCRIPTOR_BYTES);
      if (usedInodes === 0) continue;
      const table = this.#inodes.subarray(first * INODE_BYTES, (first + usedInodes) * INODE_BYTES);
      await this.#writeBlock(inodeTableAt(geometry, group), table);
    }
    for (let group = 0; group < groups; group++) {
      if (hasSuperblock(group)) await this.#writeBlock(groupStart(group) + 1, descriptors);
    }
    return { freeBlocks, freeInodes };
  }

  async #writeBlock(block: number, bytes: Uint8Array): Promise<void> {
    await this.#sink.write(block * BLOCK_BYTES, bytes);
  }
}

/** What of a file fits in its inode: all of a device and of a short symbolic link, nothing of a file. */
function dataInInode(node: TreeNode): Uint8Array | undefined {
  switch (node.type) {
    case "character-device":
    case "block-device":
      return deviceData(node.major, node.minor);
    case "fifo":
    case "socket":
      return new Uint8Array(60);
    case "symlink": {
      const target = utf8.encode(node.target);
      return target.length <= FAST_SYMLINK_BYTES ? target : undefined;
    }
    default:
      return undefined;
  }
}

function contentOf(node: TreeNode): FileContent {
  if (node.type === "file") return node.content;
  return bytesContent(utf8.encode(node.type === "symlink" ? node.target : ""));
}

function lostAndFound(mtime: number): DirectoryNode {
  return makeNode({ type: "directory", mode: 0o700, mtime }) as DirectoryNode;
}

function identityOf(options: Ext4Options): Identity {
  const { uuid = DEFAULT_UUID, hashSeed = uuid, label = "", time = 0 } = options;
  const name = utf8.encode(label);
  if (name.length > 16 || name.includes(0)) throw badDisk(`its label is ${JSON.stringify(label)}`);
  if (!(Number.isInteger(time) && time >= 0 && time < 2 ** 32))
    throw badDisk(`its time is ${time}`);
  return { uuid: uuidBytes(uuid), hashSeed: uuidBytes(hashSeed), label: name, time };
}

function uuidBytes(text: string): Uint8Array {
  const digits = text.replaceAll("-", "");
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) throw badDisk(`${JSON.stringify(text)} is no UUID`);
  return Uint8Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

function badDisk(reason: string) {
  return imagesError("QZ_IMAGES_BAD_DISK", { reason });
}
