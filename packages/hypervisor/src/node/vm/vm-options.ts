import type { ImageProgress, OpenImageOptions } from "@queztl/images/node";
import type { NetworkArgument, SwitchArgument } from "../device-arguments.ts";
import type { TemplateProgress } from "../template/template-store.ts";
import type { VmLimits } from "./vm-config.ts";

/** A disk of a VM, beside that of its image. */
export interface VmDisk {
  /** A raw file of this computer. */
  readonly path: string;
  /**
   * `overlay` keeps what the guest writes in the VM's folder (the default), `direct` writes to the file, which no other
   * VM may have then.
   */
  readonly mode?: "overlay" | "direct" | "read-only";
}

/** A network of its own, with what it may reach and who may reach it; or a switch of several VMs. */
export type VmNetwork =
  | (Partial<Pick<NetworkArgument, "forwards" | "allow" | "deny">> & { readonly switch?: never })
  | Pick<SwitchArgument, "switch">;

/** What a VM is made of. */
export interface VmOptions {
  /** An image by its name, built when it is not there yet: "base" (the default), "debian", "python", or one's own. */
  readonly image?: string;
  /** Instead of an image: files of this computer. */
  readonly kernel?: {
    readonly path: string;
    readonly initramfs?: string;
    readonly commandLine?: string;
  };
  /** Its folder's name, and the guest's host name: lower-case letters, digits, hyphens; default a new one. */
  readonly id?: string;
  /** Kept with it, for whoever lists VMs. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Guest RAM in MiB; default 512. */
  readonly memoryMib?: number;
  /** Processors; default 1. */
  readonly cpus?: number;
  readonly seed?: number;
  /** Behind what the image needs on the kernel's command line. */
  readonly append?: string;
  readonly disks?: readonly VmDisk[];
  /** Empty drives, 0 to 8, for `attachDisk` while it runs; default 0. */
  readonly drives?: number;
  /** A network card; default none. */
  readonly network?: VmNetwork;
  readonly limits?: VmLimits;
  /**
   * Whether it is made of a template: the first VM of an image and size is booted and kept, later ones go on from there.
   * Default true, for images in the usual sizes (`TEMPLATE_SIZES`), without further disks and without a seed.
   */
  readonly template?: boolean;
  /** Called with each step of building an image or a template, where that has to be done. */
  readonly onProgress?: (progress: ImageProgress | TemplateProgress) => void;
  /** QUEZTL_HOME; default that of the environment. */
  readonly home?: string;
  /** How its image is built, where it has to be. */
  readonly images?: Omit<OpenImageOptions, "home" | "signal" | "onProgress">;
  /** Gives the creation up; what was made is removed. */
  readonly signal?: AbortSignal;
}
