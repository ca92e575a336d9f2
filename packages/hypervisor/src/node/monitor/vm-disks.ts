import { constants } from "node:fs";
import { copyFile, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { OverlayDisk, RawDisk } from "@queztl/virtio";
import type { BlockBackend, DirtyMap } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import type { VmConfig } from "../vm/vm-config.ts";
import { nothingThere } from "../vm/vm-folder.ts";
import { QuotaFile } from "./quota-file.ts";
import type { DiskQuota } from "./quota-file.ts";

/** Where a VM's folder, and a snapshot's, has what guests wrote to overlays. */
export const DISKS = "disks";
const NEXT = "disks.next";
const FORMER = "disks.former";

const CLUSTER_BYTES = 4096;
const COPY_BYTES = 1024 * 1024;

/** A disk of a VM, and what of it is in the VM's folder. */
export interface VmDiskBackend {
  readonly backend: BlockBackend;
  readonly overlay: OverlayDisk | undefined;
}

/** Opens a disk of a configuration. @throws QZ_VIRTIO_DISK_IO */
export async function openVmDisk(
  config: VmConfig,
  folder: string,
  index: number,
  quota: DiskQuota,
): Promise<VmDiskBackend> {
  const { path, mode } = config.disks[index] as VmConfig["disks"][number];
  const opened: NodeFile[] = [];
  const openFile = async (...args: Parameters<typeof NodeFile.open>): Promise<NodeFile> => {
    const file = await NodeFile.open(...args);
    opened.push(file);
    return file;
  };
  try {
    const readOnly = mode !== "direct";
    const place = isAbsolute(path) ? path : join(folder, path);
    const base = await RawDisk.open(await openFile(place, { readOnly }), { readOnly });
    if (mode !== "overlay") return { backend: base, overlay: undefined };
    await mkdir(join(folder, DISKS), { recursive: true, mode: 0o700 });
    const { data, map } = overlayFiles(folder, index);
    const mapBytes = Math.ceil(base.capacity / CLUSTER_BYTES / 8);
    const mapFile = await openFile(map, { create: { size: mapBytes } });
    const file = await openFile(data, { create: { size: base.capacity } });
    const counted = await QuotaFile.open(file, mapFile, quota);
    const overlay = await OverlayDisk.open({ base, file: counted, map: mapFile });
    return { backend: overlay, overlay };
  } catch (error) {
    for (const file of opened) await file.close();
    throw error;
  }
}

/** Copies what a guest wrote to an overlay, as it is now, into a snapshot's folder. Nothing may write meanwhile. */
export async function saveVmDisk(
  overlay: OverlayDisk,
  folder: string,
  snapshot: string,
  index: number,
): Promise<void> {
  await mkdir(join(snapshot, DISKS), { recursive: true, mode: 0o700 });
  await copyClusters(
    overlayFiles(folder, index).data,
    overlayFiles(snapshot, index),
    overlay.dirtyMap(),
  );
}

/**
 * Puts a snapshot's overlays in place of those of a VM, which are not open: all of them or none, whenever this
 * process is killed.
 */
export async function replaceVmDisks(
  config: VmConfig,
  folder: string,
  snapshot: string,
): Promise<void> {
  const next = join(folder, NEXT);
  await rm(next, { recursive: true, force: true });
  await mkdir(join(next, DISKS), { recursive: true, mode: 0o700 });
  for (const [index, { mode }] of config.disks.entries()) {
    if (mode !== "overlay") continue;
    const from = overlayFiles(snapshot, index);
    const map = await open(from.map).catch(nothingThere(undefined));
    // Nothing was ever written to it.
    if (!map) continue;
    try {
      const bits = await map.readFile();
      await copyClusters(from.data, overlayFiles(next, index), {
        clusterBytes: CLUSTER_BYTES,
        bits,
      });
    } finally {
      await map.close();
    }
  }
  const disks = join(folder, DISKS);
  await rename(disks, join(folder, FORMER)).catch(nothingThere(undefined));
  await rename(join(next, DISKS), disks);
  await rm(next, { recursive: true, force: true });
  await rm(join(folder, FORMER), { recursive: true, force: true });
}

/** Finishes or undoes what a monitor that was killed in `replaceVmDisks` had begun. */
export async function recoverVmDisks(folder: string): Promise<void> {
  const disks = join(folder, DISKS);
  const there = await stat(disks).catch(nothingThere(undefined));
  // The former are gone only once the next are whole.
  if (!there) await rename(join(folder, NEXT, DISKS), disks).catch(nothingThere(undefined));
  await rm(join(folder, NEXT), { recursive: true, force: true });
  await rm(join(folder, FORMER), { recursive: true, force: true });
}

function overlayFiles(folder: string, index: number): { data: string; map: string } {
  return {
    data: join(folder, DISKS, `${index}.overlay`),
    map: join(folder, DISKS, `${index}.map`),
  };
}

/** Copies the written clusters of an overlay: as shared extents where the host can, else byte by byte, sparse. */
async function copyClusters(
  from: string,
  to: { readonly data: string; readonly map: string },
  { bits, clusterBytes }: DirtyMap,
): Promise<void> {
  try {
    await copyFile(from, to.data, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
  } catch {
    await rm(to.data, { force: true });
    const source = await open(from, "r");
    try {
      const target = await open(to.data, "wx", 0o600);
      try {
        await target.truncate((await source.stat()).size);
        const buffer = Buffer.alloc(COPY_BYTES);
        for (const { at, length } of dirtyRanges(bits, clusterBytes)) {
          for (let done = 0; done < length;) {
            const most = Math.min(buffer.length, length - done);
            const { bytesRead } = await source.read(buffer, 0, most, at + done);
            if (bytesRead === 0) break;
            await target.write(buffer, 0, bytesRead, at + done);
            done += bytesRead;
          }
        }
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }
  // A map of none would be an empty disk: it comes last.
  const map = await open(to.map, "wx", 0o600);
  try {
    await map.writeFile(bits);
  } finally {
    await map.close();
  }
}

function* dirtyRanges(
  bits: Uint8Array,
  clusterBytes: number,
): Generator<{ readonly at: number; readonly length: number }> {
  const total = bits.length * 8;
  const dirty = (cluster: number): boolean =>
    (((bits[cluster >>> 3] ?? 0) >>> (cluster & 7)) & 1) === 1;
  for (let cluster = 0; cluster < total; cluster++) {
    if (bits[cluster >>> 3] === 0) {
      cluster |= 7;
      continue;
    }
    if (!dirty(cluster)) continue;
    const first = cluster;
    while (cluster < total && dirty(cluster)) cluster++;
    yield { at: first * clusterBytes, length: (cluster - first) * clusterBytes };
  }
}
