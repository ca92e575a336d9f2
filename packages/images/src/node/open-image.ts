import { stat } from "node:fs/promises";
import { join } from "node:path";
import { debianRecipes } from "../debian/recipes.ts";
import type { DebianImageName, PreparedCommand } from "../debian/recipes.ts";
import { imagesError } from "../errors.ts";
import type { Flavour } from "../flavours.ts";
import { buildImage } from "./build-image.ts";
import type { BuildImageOptions, GuestImage, ImageFile } from "./build-image.ts";
import {
  DISK,
  RECORD,
  checkName,
  discard,
  imageFolders,
  imagesFolder,
  lockOf,
  readRecord,
} from "./catalogue.ts";
import type { DiskRecord, ImageProcess } from "./catalogue.ts";
import { withBuildLock } from "./build-lock.ts";
import { debianDisk } from "./debian-disk.ts";
import { defaultSources } from "./fetch-packages.ts";
import { queztlHome } from "./home.ts";
import { isVerified } from "./verified-files.ts";

/** Images that live in their initramfs alone, by the kernel they have. */
const INITRAMFS_IMAGES: Readonly<Record<string, Flavour>> = {
  base: "cloud",
  "base-generic": "generic",
};

/** The names of the images that are made when they are first asked for. */
export const BUILT_IN_IMAGES: readonly string[] = [
  ...Object.keys(INITRAMFS_IMAGES),
  ...Object.keys(debianRecipes),
];

/** The disk of an image: never written to by what starts machines, which put an overlay over it. */
export interface DiskFile extends ImageFile {
  /** Bytes of the disk; the file is sparse and takes about `usedBytes`. */
  readonly size: number;
  readonly usedBytes: number;
}

/** An image with all that a machine needs to start from it, verified when this was returned. */
export interface Image {
  readonly name: string;
  readonly kind: "initramfs" | "disk";
  readonly flavour: Flavour;
  /** The kernel's release, as `uname -r` prints it. */
  readonly release: string;
  /** The ELF kernel; `bzImage` is the same as Debian ships it. */
  readonly kernel: ImageFile;
  readonly bzImage: ImageFile;
  readonly initramfs: ImageFile;
  /** To be the machine's first virtio-blk disk, where the image has one. */
  readonly disk?: DiskFile;
  /** What the kernel's command line must hold: "root=/dev/vda rw", or nothing. */
  readonly commandLine: string;
  /** Commands to run once in a template, before it is kept. */
  readonly warmUp: readonly (readonly string[])[];
  /** Commands that wait in a template, for who makes a machine of it to attach to by their names. */
  readonly prepared: readonly PreparedCommand[];
  /** How a container image says it is run. */
  readonly process?: ImageProcess;
  /** The packages it was made of, where it was. */
  readonly packages: NonNullable<DiskRecord["packages"]>;
}

/** Where an image comes from and goes to; a flavour goes with the name. */
export interface OpenImageOptions extends Omit<BuildImageOptions, "flavour"> {
  /**
   * Further Debian packages for "debian" and "python", with what they depend on. Only what the images have by default
   * is pinned: with these all packages are the newest of the index.
   */
  readonly packages?: readonly string[];
}

const DISK_COMMAND_LINE = "root=/dev/vda rw";

/**
 * An image by its name, ready to be started: "base", "base-generic", "debian" and "python" are built the
 * first time (several processes may ask at once; one builds), others were imported. Checksums are compared
 * whenever a file was written to since they last were; an altered image of ours is built again.
 * @throws QZ_IMAGES_NO_IMAGE for a name that is not there; QZ_IMAGES_DAMAGED for an imported image that was
 * altered; QZ_IMAGES_CANCELLED; what building throws.
 */
export async function openImage(name: string, options: OpenImageOptions = {}): Promise<Image> {
  const { signal } = options;
  try {
    return await open(name, options);
  } catch (cause) {
    if (signal?.aborted) throw imagesError("QZ_IMAGES_CANCELLED", {}, { cause });
    throw cause;
  }
}

async function open(name: string, options: OpenImageOptions): Promise<Image> {
  const { home = queztlHome(), signal, onProgress = () => undefined } = options;
  signal?.throwIfAborted();
  const initramfs = Object.hasOwn(INITRAMFS_IMAGES, name) ? INITRAMFS_IMAGES[name] : undefined;
  if (initramfs) return fromKernel(name, await buildImage({ ...options, flavour: initramfs }));
  const folder = isDebianName(name)
    ? await debianDisk(
        name,
        { versions: options.versions, packages: options.packages },
        {
          home,
          sources: options.sources ?? defaultSources(home, options.mirrors),
          signal,
          onProgress,
        },
      )
    : join(imagesFolder(home), name);
  const record = /^[^./]/.test(name) ? await readRecord(folder) : undefined;
  if (!record) {
    const known = [...new Set([...BUILT_IN_IMAGES, ...(await ownNames(home))])].join(", ");
    throw imagesError("QZ_IMAGES_NO_IMAGE", { name, known });
  }
  const path = join(folder, DISK);
  const onRead = () => onProgress({ step: "verify" });
  if (!(await isVerified(path, record.disk.sha256, { signal, onRead }))) {
    throw imagesError("QZ_IMAGES_DAMAGED", { name, path });
  }
  const kernel = await buildImage({ ...options, flavour: record.flavour });
  return {
    ...fromKernel(name, kernel),
    kind: "disk",
    disk: { path, ...record.disk },
    commandLine: DISK_COMMAND_LINE,
    warmUp: record.warmUp,
    // Those of ours are no part of the disk.
    prepared: isDebianName(name) ? debianRecipes[name].prepared : (record.prepared ?? []),
    ...(record.process && { process: record.process }),
    packages: record.packages ?? [],
  };
}

function fromKernel(name: string, image: GuestImage): Image {
  const { flavour, release, kernel, bzImage, initramfs, packages } = image;
  const files = { kernel, bzImage, initramfs };
  return {
    name,
    kind: "initramfs",
    flavour,
    release,
    ...files,
    commandLine: "",
    warmUp: [],
    prepared: [],
    packages,
  };
}

function isDebianName(name: string): name is DebianImageName {
  return Object.hasOwn(debianRecipes, name);
}

async function ownNames(home: string): Promise<string[]> {
  return (await listImages({ home })).map(({ name }) => name);
}

/** An image that is on this computer. */
export interface ImageSummary {
  readonly name: string;
  readonly kind: Image["kind"];
  readonly origin: DiskRecord["origin"];
  /** The folder with its files, and the bytes they take on the host. */
  readonly folder: string;
  readonly bytes: number;
  /** Bytes of the disk as the guest sees it; 0 without one. */
  readonly diskBytes: number;
  /** ISO 8601. */
  readonly builtAt: string;
  readonly warmUp: Image["warmUp"];
}

/**
 * The images that are on this computer, by name; one that was built several times, of other packages, is
 * there as often. Nothing is built or verified.
 * @throws QZ_IMAGES_HOME
 */
export async function listImages(options: { home?: string } = {}): Promise<ImageSummary[]> {
  const { home = queztlHome() } = options;
  const found: ImageSummary[] = [];
  for (const entry of await imageFolders(home)) {
    const folder = join(imagesFolder(home), entry);
    const record = await readRecord(folder);
    if (record) {
      const { name, kind, origin, builtAt, warmUp, disk } = record;
      const bytes = await bytesOnHost(folder, [DISK]);
      found.push({ name, kind, origin, folder, bytes, diskBytes: disk.size, builtAt, warmUp });
      continue;
    }
    const name = initramfsName(entry);
    const manifest = await stat(join(folder, RECORD)).catch(() => undefined);
    if (name === undefined || !manifest) continue;
    const bytes = await bytesOnHost(folder, ["vmlinux", "bzImage", "initramfs.cpio"]);
    const builtAt = manifest.mtime.toISOString();
    const rest = { kind: "initramfs", origin: "debian", diskBytes: 0, warmUp: [] } as const;
    found.push({ name, folder, bytes, builtAt, ...rest });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Folders of initramfs images are named FLAVOUR-VERSION-KEY, disks' NAME or NAME@KEY. */
function initramfsName(folder: string): string | undefined {
  return Object.entries(INITRAMFS_IMAGES).find(([, flavour]) =>
    new RegExp(`^${flavour}-.+-[0-9a-f]{12}$`).test(folder),
  )?.[0];
}

async function bytesOnHost(folder: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(folder, file)).catch(() => undefined))?.blocks ?? 0),
  );
  return sizes.reduce((sum, blocks) => sum + blocks * 512, 0);
}

/**
 * Removes an image from this computer, in all its versions. A machine that has its files open keeps them
 * until it ends. One of ours is built again when it is next asked for.
 * @throws QZ_IMAGES_NO_IMAGE, QZ_IMAGES_HOME
 */
export async function removeImage(
  name: string,
  options: { home?: string; signal?: AbortSignal } = {},
): Promise<void> {
  const { home = queztlHome(), signal } = options;
  if (!BUILT_IN_IMAGES.includes(name)) checkName(name, []);
  const images = await listImages({ home });
  const mine = images.filter((image) => image.name === name);
  if (mine.length === 0) {
    const known = images.map((image) => image.name).join(", ") || "none";
    throw imagesError("QZ_IMAGES_NO_IMAGE", { name, known });
  }
  for (const { folder } of mine) {
    const entry = folder.slice(imagesFolder(home).length + 1);
    await withBuildLock(lockOf(home, entry), { signal }, () => discard(home, entry));
  }
}
