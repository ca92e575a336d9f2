import { rm } from "node:fs/promises";
import { join } from "node:path";
import { writeExt4 } from "../ext4/write-ext4.ts";
import type { FileTree } from "../tree/file-tree.ts";
import { sha256, writeAtomically } from "./cache.ts";
import { DISK, RECORD } from "./catalogue.ts";
import type { DiskRecord } from "./catalogue.ts";
import { FileDisk } from "./file-disk.ts";
import { SpoolFile } from "./spool-file.ts";
import type { OnProgress } from "./progress.ts";
import { markVerified, sha256OfFile } from "./verified-files.ts";

/** What is made into a disk. */
export interface DiskParts {
  /** Fills the tree; contents go through the spool file. */
  readonly tree: (spool: SpoolFile) => Promise<FileTree>;
  /** All that a record says beside the disk itself; asked for when the tree is there. */
  readonly record: () => Omit<DiskRecord, "format" | "kind" | "disk" | "builtAt">;
  /** What the disk's UUID is derived from: the same gives the same disk. */
  readonly identity: string;
  readonly size?: number | undefined;
  readonly freeBytes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

/** Builds a disk with its record in a folder. */
export async function buildDisk(folder: string, parts: DiskParts): Promise<void> {
  const { identity, size, freeBytes, signal, onProgress } = parts;
  const spoolPath = join(folder, "spool");
  await using spool = await SpoolFile.create(spoolPath);
  const tree = await parts.tree(spool);
  prepareRoot(tree);
  const record = parts.record();
  const path = join(folder, DISK);
  await using file = await FileDisk.create(path);
  const disk = await writeExt4(tree, file, {
    ...(size === undefined ? { freeBytes } : { size }),
    uuid: uuidOf(identity),
    label: record.name.slice(0, 16),
    time: newestTime(tree),
    signal,
    onProgress: (progress) => onProgress({ step: "write", ...progress }),
  });
  await rm(spoolPath);
  await file.flush();
  onProgress({ step: "verify" });
  const checksum = await sha256OfFile(path, signal);
  const whole: DiskRecord = {
    ...record,
    format: 1,
    kind: "disk",
    disk: { sha256: checksum, size: disk.size, usedBytes: disk.usedBytes },
    builtAt: new Date().toISOString(),
  };
  await markVerified(path, checksum);
  await writeAtomically(join(folder, RECORD), `${JSON.stringify(whole, undefined, 2)}\n`);
}

const MOUNT_POINTS = ["dev", "etc", "lib/modules", "proc", "root", "run", "sys"];
const BOUND_FILES = ["etc/hostname", "etc/hosts", "etc/inittab", "etc/resolv.conf"];

/** Makes what the guest's init mounts something on, or writes to, where the image has none. */
export function prepareRoot(tree: FileTree): void {
  for (const path of MOUNT_POINTS) {
    if (!tree.find(path)) tree.add(path, { type: "directory" });
  }
  if (!tree.find("tmp")) tree.add("tmp", { type: "directory", mode: 0o1777 });
  for (const path of BOUND_FILES) {
    if (!tree.find(path, { followLast: false })) tree.add(path, {});
  }
}

function newestTime(tree: FileTree): number {
  let newest = 0;
  for (const { node } of tree.walk()) newest = Math.max(newest, node.mtime);
  return Math.min(Math.floor(newest), 2 ** 32 - 1);
}

/** A UUID (RFC 9562, version 8) that stands for a text. */
function uuidOf(text: string): string {
  const digits = sha256(text).slice(0, 32);
  return `${digits.slice(0, 12)}8${digits.slice(13, 16)}8${digits.slice(17)}`;
}
