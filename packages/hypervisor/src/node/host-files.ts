import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { extractVmlinux, isBzImage, parseSetupHeader } from "@queztl/boot";
import { BlockDevice, NetDevice, RawDisk, UserNetwork } from "@queztl/virtio";
import { NodeFile, nodeSockets } from "@queztl/virtio/node";
import { hypervisorError } from "../errors.ts";
import type { DeviceFactory, MachineKernel } from "../machine-options.ts";
import type { DiskArgument, NetworkArgument } from "./command-line.ts";

const MAC = "52:54:00:12:34:56";

/**
 * Reads a kernel and what goes with it. The kernel in a bzImage is unpacked here, which is faster than in the guest.
 * @throws QZ_HYPERVISOR_FILE, QZ_BOOT_…
 */
export async function readKernelFiles(
  path: string,
  initrds: readonly string[],
  commandLine: string,
): Promise<MachineKernel> {
  const file = await readInput("the kernel", path);
  const kernel =
    isBzImage(file) && parseSetupHeader(file).payloadLength > 0 ? await extractVmlinux(file) : file;
  const [initrd, ...others] = await Promise.all(
    initrds.map((initrdPath) => readInput("the initrd", initrdPath)),
  );
  const modules = others.map((bytes, i) => ({
    bytes,
    commandLine: basename(initrds[i + 1] as string),
  }));
  return {
    kernel,
    commandLine,
    ...(initrd && { initrd }),
    ...(modules.length > 0 && { modules }),
  };
}

/** A file as a virtio disk of raw sectors. */
export function disk({ path, readOnly }: DiskArgument): DeviceFactory {
  return async ({ clock }) => {
    await checkKind("the disk", path);
    const file = await NodeFile.open(path, { readOnly });
    try {
      return new BlockDevice({ backend: await RawDisk.open(file, { readOnly }), clock });
    } catch (error) {
      await file.close();
      throw error;
    }
  };
}

/** A virtio network card on a user-mode network. */
export function network({ forwards, mac = MAC }: NetworkArgument): DeviceFactory {
  return async ({ clock, entropy }) => {
    const user = await UserNetwork.open({
      clock,
      entropy,
      sockets: nodeSockets(),
      forwards: forwards.map((forward) => ({ protocol: "tcp", ...forward })),
    });
    const device = new NetDevice({ network: user, mac });
    const close = async (): Promise<void> => {
      await NetDevice.prototype.close.call(device);
      user.close();
    };
    return Object.assign(device, { close });
  };
}

async function readInput(what: string, path: string): Promise<Uint8Array> {
  await checkKind(what, path);
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
}

/** Refuses what is no file before it is opened: reading a pipe or a terminal could wait for ever. */
async function checkKind(what: string, path: string): Promise<void> {
  let stats;
  try {
    stats = await stat(path);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
  if (stats.isFile() || stats.isBlockDevice()) return;
  const reason = stats.isDirectory() ? "it is a folder" : "it is no file";
  throw hypervisorError("QZ_HYPERVISOR_FILE", { what, path, reason });
}

function unreadable(what: string, path: string, cause: unknown): Error {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB",
  };
  return hypervisorError(
    "QZ_HYPERVISOR_FILE",
    { what, path, reason: reasons[code] ?? code },
    { cause },
  );
}
