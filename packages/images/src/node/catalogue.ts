import { randomUUID } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PreparedCommand } from "../debian/recipes.ts";
import { imagesError } from "../errors.ts";
import { flavours } from "../flavours.ts";
import type { Flavour } from "../flavours.ts";
import type { DebianPackage } from "../package-index.ts";
import { inHome, isMissing } from "./cache.ts";

/** How a container image says it is run; what it leaves out is left out. */
export interface ImageProcess {
  /** Entrypoint and Cmd. */
  readonly argv: readonly string[];
  /** "NAME=value". */
  readonly env: readonly string[];
  readonly cwd?: string;
  readonly user?: string;
}

/** What the catalogue keeps of a disk image, in `image.json` of its folder. */
export interface DiskRecord {
  readonly format: 1;
  readonly name: string;
  readonly kind: "disk";
  /** What it was made from. */
  readonly origin: "debian" | "tar" | "oci";
  /** The kernel and initramfs it is started with. */
  readonly flavour: Flavour;
  readonly disk: {
    readonly sha256: string;
    /** Bytes of the disk, and how many of them hold something. */
    readonly size: number;
    readonly usedBytes: number;
  };
  /** ISO 8601. */
  readonly builtAt: string;
  /** Commands to run once in a template made of it, so that what they read and compile is there. */
  readonly warmUp: readonly (readonly string[])[];
  /** Commands that wait in a template for who makes a machine of it. */
  readonly prepared?: readonly PreparedCommand[];
  readonly process?: ImageProcess;
  /** The packages it was made of. */
  readonly packages?: readonly Pick<DebianPackage, "name" | "version" | "sha256">[];
}

/** The file name of a record, and of the disk beside it. */
export const RECORD = "image.json";
export const DISK = "disk.ext4";

/** The folder of all images. */
export function imagesFolder(home: string): string {
  return join(home, "images");
}

/** The lock that builders of an image take. */
export function lockOf(home: string, folder: string): string {
  return join(imagesFolder(home), ".locks", folder);
}

/** Reads a folder's record; undefined where there is none that makes sense. */
export async function readRecord(folder: string): Promise<DiskRecord | undefined> {
  try {
    const record: unknown = JSON.parse(await readFile(join(folder, RECORD), "utf8"));
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is DiskRecord {
  if (typeof value !== "object" || value === null) return false;
  const { format, kind, name, flavour, disk, builtAt, warmUp } = value as Partial<DiskRecord>;
  return (
    format === 1 &&
    kind === "disk" &&
    typeof name === "string" &&
    typeof flavour === "string" &&
    Object.hasOwn(flavours, flavour) &&
    typeof builtAt === "string" &&
    Array.isArray(warmUp) &&
    typeof disk === "object" &&
    /^[0-9a-f]{64}$/.test(disk.sha256) &&
    Number.isSafeInteger(disk.size)
  );
}

/** The folders of all images, by name; those being built begin with ".". */
export async function imageFolders(home: string): Promise<string[]> {
  const folder = imagesFolder(home);
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    return await inHome(folder, () => Promise.reject(error as Error));
  }
}

/** Runs work in a folder of its own and puts that in place of an image, whole, or removes it. */
export async function buildFolder(
  home: string,
  name: string,
  work: (folder: string) => Promise<void>,
): Promise<string> {
  const place = join(imagesFolder(home), name);
  const temporary = join(imagesFolder(home), `.${randomUUID()}.partial`);
  await inHome(temporary, () => mkdir(temporary, { recursive: true }));
  try {
    await work(temporary);
    await discard(home, name);
    await inHome(place, () => rename(temporary, place));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  return place;
}

/** Takes an image out of the catalogue at once and then removes its files; false where there is none. */
export async function discard(home: string, name: string): Promise<boolean> {
  const place = join(imagesFolder(home), name);
  const aside = join(imagesFolder(home), `.${randomUUID()}.removed`);
  try {
    await rename(place, aside);
  } catch (error) {
    if (isMissing(error)) return false;
    return await inHome(place, () => Promise.reject(error as Error));
  }
  await inHome(aside, () => rm(aside, { recursive: true, force: true }));
  return true;
}

/**
 * Checks a name for an image of one's own.
 * @throws QZ_IMAGES_BAD_NAME
 */
export function checkName(name: string, taken: readonly string[]): void {
  const bad = (reason: string) => imagesError("QZ_IMAGES_BAD_NAME", { name, reason });
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
    throw bad("use up to 63 lower-case letters, digits, dots, hyphens and underscores");
  }
  if (taken.includes(name)) throw bad("it is the name of an image that Queztl makes itself");
}
