import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { extractVmlinux } from "@queztl/boot";
import { readDeb } from "../deb.ts";
import { imagesError } from "../errors.ts";
import { BUSYBOX_PACKAGE, flavours } from "../flavours.ts";
import type { Flavour } from "../flavours.ts";
import { AGENT_START } from "../guest-agent.ts";
import { GUEST_FILES } from "../init.ts";
import { buildInitramfs } from "../initramfs.ts";
import { readKernelPackage } from "../kernel-package.ts";
import type { DebianPackage } from "../package-index.ts";
import { pinnedPackages } from "../pins.ts";
import type { ImagePackages } from "../pins.ts";
import { fetchAgent, readAgent } from "./agent.ts";
import type { AgentSource } from "./agent.ts";
import { sha256, writeAtomically } from "./cache.ts";
import { queztlHome } from "./home.ts";
import { defaultSources, fetchPackage, fromFirst } from "./fetch-packages.ts";
import type { PackageSource } from "./package-source.ts";
import type { OnProgress } from "./progress.ts";
import { isVerified } from "./verified-files.ts";

/** Which image, and where from and to. */
export interface BuildImageOptions {
  /** Default "cloud". */
  readonly flavour?: Flavour;
  /** Default: `queztlHome()`. */
  readonly home?: string;
  /** Whether the guest agent is in the initramfs and runs before the guest is ready; default true. Never with "i386". */
  readonly agent?: boolean;
  /** "pinned" (the default) builds the same image everywhere; "newest" asks the package index each time. */
  readonly versions?: "pinned" | "newest";
  /** Roots of Debian archives to ask when apt has nothing; default `DEBIAN_MIRRORS`. */
  readonly mirrors?: readonly string[];
  /** Replaces apt and the mirrors altogether. */
  readonly sources?: readonly PackageSource[];
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** A file of an image and its SHA-256 in hexadecimal. */
export interface ImageFile {
  readonly path: string;
  readonly sha256: string;
}

/** A built image: everything is a file under `<home>/images/`, verified when this was returned. */
export interface GuestImage {
  readonly flavour: Flavour;
  /** The kernel's release, as `uname -r` prints it: "6.1.0-50-cloud-amd64". */
  readonly release: string;
  /** The kernel package's version: "6.1.176-1". */
  readonly version: string;
  /** The ELF kernel, extracted on the host. */
  readonly kernel: ImageFile;
  /** The kernel as Debian ships it. */
  readonly bzImage: ImageFile;
  readonly initramfs: ImageFile;
  /** The packages it was made of. */
  readonly packages: readonly Pick<DebianPackage, "name" | "version" | "sha256">[];
}

const FILES = {
  kernel: "vmlinux",
  bzImage: "bzImage",
  initramfs: "initramfs.cpio",
} as const;

/** Raise it when the assembly changes in a way that the packages and guest files do not show. */
const FORMAT = 1;

/**
 * Builds the default guest image of a flavour from Debian packages, or takes it from the cache: once
 * built, neither network nor apt is needed. Files are checked against their SHA-256 whenever they were written
 * to since they last were, and built anew when they were altered. Several processes may build at once.
 * @throws QZ_IMAGES_UNAVAILABLE, QZ_IMAGES_CHECKSUM, QZ_IMAGES_HOME, QZ_IMAGES_CANCELLED, and what reading the
 * packages throws.
 */
export async function buildImage(options: BuildImageOptions = {}): Promise<GuestImage> {
  try {
    return await build(options);
  } catch (cause) {
    if (options.signal?.aborted) throw imagesError("QZ_IMAGES_CANCELLED", {}, { cause });
    throw cause;
  }
}

async function build(options: BuildImageOptions): Promise<GuestImage> {
  const { flavour = "cloud", signal, onProgress = () => undefined } = options;
  const home = options.home ?? queztlHome();
  const sources = options.sources ?? defaultSources(home, options.mirrors);
  signal?.throwIfAborted();
  onProgress({ step: "resolve" });
  const packages =
    options.versions === "newest"
      ? await newestPackages(flavour, sources, signal)
      : pinnedPackages[flavour];
  // The agent's interpreter is a 64-bit program.
  const agent = options.agent === false || flavour === "i386" ? undefined : await readAgent();
  const folder = join(home, "images", `${flavour}-${imageKey(flavour, packages, agent)}`);
  const cached = await readImage(folder);
  if (cached) {
    onProgress({ step: "cached" });
    return cached;
  }

  const fetching = { home, sources, signal, onProgress };
  const kernelDeb = await fetchPackage(packages.kernel, fetching);
  const busyboxDeb = await fetchPackage(packages.busybox, fetching);
  onProgress({ step: "unpack", package: packages.kernel.name });
  const kernel = await readKernelPackage(kernelDeb, flavours[flavour], { signal });
  onProgress({ step: "unpack", package: packages.busybox.name });
  const busybox = await readDeb(busyboxDeb, (path) => /^(usr\/)?bin\/busybox$/.test(path), {
    signal,
  });
  if (!busybox[0]) {
    const what = packages.busybox.name;
    throw imagesError("QZ_IMAGES_BAD_PACKAGE", { what, reason: "it has no bin/busybox" });
  }
  const files = agent ? await fetchAgent(agent, fetching) : [];
  onProgress({ step: "extract", package: packages.kernel.name });
  const vmlinux = await extractVmlinux(kernel.bzImage);
  signal?.throwIfAborted();
  onProgress({ step: "assemble" });
  const initramfs = buildInitramfs({ ...kernel, busybox: busybox[0].data, files });

  const contents = { kernel: vmlinux, bzImage: kernel.bzImage, initramfs };
  const file = (part: keyof typeof FILES): ImageFile => ({
    path: FILES[part],
    sha256: sha256(contents[part]),
  });
  const image: GuestImage = {
    flavour,
    release: kernel.release,
    version: packages.kernel.version,
    kernel: file("kernel"),
    bzImage: file("bzImage"),
    initramfs: file("initramfs"),
    packages: [packages.kernel, packages.busybox, ...(agent?.packages ?? [])].map((p) => ({
      name: p.name,
      version: p.version,
      sha256: p.sha256,
    })),
  };
  for (const part of PARTS) await writeAtomically(join(folder, FILES[part]), contents[part]);
  // The manifest comes last: an image without it is not there.
  await writeAtomically(join(folder, MANIFEST), `${JSON.stringify(image, undefined, 2)}\n`);
  return placed(image, folder);
}

const MANIFEST = "image.json";
const PARTS = Object.keys(FILES) as (keyof typeof FILES)[];

/** What an image's content depends on, as a short name. */
function imageKey(
  flavour: Flavour,
  packages: ImagePackages,
  agent: AgentSource | undefined,
): string {
  const inputs = {
    format: FORMAT,
    packages: [packages.kernel.sha256, packages.busybox.sha256],
    recipe: flavours[flavour].modules,
    files: GUEST_FILES,
    agent: agent && [
      sha256(agent.script),
      AGENT_START,
      ...agent.packages.map((each) => each.sha256),
    ],
  };
  return `${packages.kernel.version}-${sha256(JSON.stringify(inputs)).slice(0, 12)}`;
}

/** The image in a folder, when it is complete and unaltered. */
async function readImage(folder: string): Promise<GuestImage | undefined> {
  let image: GuestImage;
  try {
    image = JSON.parse(await readFile(join(folder, MANIFEST), "utf8")) as GuestImage;
    for (const part of PARTS) {
      if (image[part].path !== FILES[part]) return undefined;
      if (!(await isVerified(join(folder, FILES[part]), image[part].sha256))) return undefined;
    }
  } catch {
    // Absent or unreadable: it is built anew, which says what is wrong with the folder if anything is.
    return undefined;
  }
  return placed(image, folder);
}

function placed(image: GuestImage, folder: string): GuestImage {
  const at = (part: keyof typeof FILES): ImageFile => ({
    path: join(folder, FILES[part]),
    sha256: image[part].sha256,
  });
  return { ...image, kernel: at("kernel"), bzImage: at("bzImage"), initramfs: at("initramfs") };
}

async function newestPackages(
  flavour: Flavour,
  sources: readonly PackageSource[],
  signal: AbortSignal | undefined,
): Promise<ImagePackages> {
  const { metaPackage } = flavours[flavour];
  if (flavour === "i386") {
    const reason = "a 32-bit image is made of pinned packages only";
    throw imagesError("QZ_IMAGES_UNAVAILABLE", { package: metaPackage, reason });
  }
  const meta = await newest(metaPackage, sources, signal);
  const kernelName = meta.depends.find((name) => name.startsWith("linux-image-"));
  if (kernelName === undefined) {
    const reason = `${meta.name} depends on no kernel`;
    throw imagesError("QZ_IMAGES_BAD_INDEX", { source: "the package index", reason });
  }
  const kernel = await newest(kernelName, sources, signal);
  const busybox = await newest(BUSYBOX_PACKAGE, sources, signal);
  return { kernel, busybox };
}

async function newest(
  name: string,
  sources: readonly PackageSource[],
  signal: AbortSignal | undefined,
): Promise<DebianPackage> {
  return await fromFirst(name, sources, signal, async (source) => {
    const found = await source.newest(name, { signal });
    if (!found) throw new Error("no such package");
    return found;
  });
}
