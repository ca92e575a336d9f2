import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import {
  decompress,
  detectCompression,
  extractVmlinux,
  isBzImage,
  parseSetupHeader,
} from "@queztl/boot";
import type { MachineKernel } from "../machine-options.ts";
import { checkKind, unreadable } from "./host-devices.ts";

/**
 * Reads a kernel and what goes with it. A compressed kernel, and the one in a bzImage, is unpacked here, which is faster
 * than in the guest.
 * @throws QZ_HYPERVISOR_FILE, QZ_BOOT_…
 */
export async function readKernelFiles(
  path: string,
  initrds: readonly string[],
  commandLine: string,
): Promise<MachineKernel> {
  const kernel = await unpack(await readInput("the kernel", path));
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

async function unpack(file: Uint8Array): Promise<Uint8Array> {
  const image = detectCompression(file) === undefined ? file : await decompress(file);
  const packed = isBzImage(image) && parseSetupHeader(image).payloadLength > 0;
  return packed ? extractVmlinux(image) : image;
}

async function readInput(what: string, path: string): Promise<Uint8Array> {
  await checkKind(what, path);
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
}
