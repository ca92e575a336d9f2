import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { openImage, queztlHome } from "@queztl/images/node";
import type { Image } from "@queztl/images/node";
import { hypervisorError } from "../../errors.ts";
import { checkShape } from "../../machine-options.ts";
import { vmConfigSchema, vmLimitsSchema } from "./vm-config.ts";
import type { VmConfig } from "./vm-config.ts";
import { VmFolder, checkId, replaceFile, systemCode, vmsFolder } from "./vm-folder.ts";
import type { VmOptions } from "./vm-options.ts";

/** Beside what an image needs: the console, and no self-tests of ciphers, which take an emulator seconds. */
const COMMAND_LINE = "console=ttyS0 cryptomgr.notests=1";

/** What a VM is to be: its configuration, and the image it is made of if it is. */
export interface Configured {
  readonly config: VmConfig;
  readonly image: Image | undefined;
}

/** The configuration of a VM, from what was asked for. @throws QZ_HYPERVISOR_OPTIONS, QZ_IMAGES_… */
export async function configure(options: VmOptions): Promise<Configured> {
  const { home = queztlHome(), signal, labels = {}, network } = options;
  const id = checkId(options.id ?? `vm-${randomBytes(5).toString("hex")}`);
  const { memoryMib, cpus, seed } = checkShape(options);
  const disks: VmConfig["disks"] = (options.disks ?? []).map(({ path, mode = "overlay" }) => ({
    path: resolve(path),
    mode,
  }));
  const base = {
    version: 1 as const,
    id,
    createdAt: new Date().toISOString(),
    labels: { ...labels },
    machine: { memoryMib, cpus, ...(seed !== undefined && { seed }) },
    ...(network && {
      network: { mac: randomMac(), ...(network.switch ? network : { forwards: [], ...network }) },
    }),
    drives: options.drives ?? 0,
    limits: vmLimitsSchema.parse(options.limits ?? {}),
  };
  const append = options.append === undefined ? [] : [options.append];
  if (options.kernel) {
    const { path, initramfs, commandLine = COMMAND_LINE } = options.kernel;
    const config = vmConfigSchema.parse({
      ...base,
      kernel: {
        path: resolve(path),
        ...(initramfs !== undefined && { initramfs: resolve(initramfs) }),
        commandLine: [commandLine, ...append].join(" "),
      },
      disks,
    });
    return { config, image: undefined };
  }
  const name = options.image ?? "base";
  const image = await openImage(name, {
    ...options.images,
    home,
    ...(signal && { signal }),
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
  const { kernel, initramfs, disk } = image;
  const config = vmConfigSchema.parse({
    ...base,
    image: name,
    kernel: {
      path: kernel.path,
      initramfs: initramfs.path,
      commandLine: [COMMAND_LINE, image.commandLine, ...append].filter(Boolean).join(" "),
    },
    disks: [...(disk ? [{ path: disk.path, mode: "overlay" }] : []), ...disks],
  });
  return { config, image };
}

/**
 * Makes the folder of a VM, as a whole or not at all.
 * @param fill puts more into it than its configuration, before anybody sees it.
 * @throws QZ_HYPERVISOR_VM_EXISTS
 */
export async function createFolder(
  home: string,
  config: VmConfig,
  fill: (path: string) => Promise<void> = () => Promise.resolve(),
): Promise<VmFolder> {
  const folder = new VmFolder(home, config.id);
  const partial = join(vmsFolder(home), `${NEW}${process.pid}-${randomUUID()}`);
  try {
    await mkdir(partial, { recursive: true, mode: 0o700 });
    await fill(partial);
    await replaceFile(join(partial, "config.json"), JSON.stringify(config, undefined, 2));
    await rename(partial, folder.path);
    return folder;
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const exists = ["ENOTEMPTY", "EEXIST", "ENOTDIR", "EPERM"].includes(systemCode(cause) ?? "");
    throw exists ? hypervisorError("QZ_HYPERVISOR_VM_EXISTS", { id: config.id }, { cause }) : cause;
  }
}

/** How folders begin that are being made, before their maker's number, and that are being removed. */
export const NEW = ".new-";
export const GONE = ".gone-";

/** A station's address that nobody was given. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfc) | 2;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
