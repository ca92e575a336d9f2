import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
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

const MOST_BYTES = 2 ** 31 - 1;

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
  const [kernel, initrd, ...others] = await Promise.all([
    readInput("the kernel", path).then(unpack),
    ...initrds.map((initrdPath) => readInput("the initrd", initrdPath)),
  ]);
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

/**
 * What reads a kernel as `readKernelFiles` does, for each boot anew, so that the files are in memory for no longer than a boot
 * takes; for the first one it begins at once, while the machine is made.
 * @throws QZ_HYPERVISOR_FILE for files that are not there
 */
export async function kernelReader(
  path: string,
  initrds: readonly string[],
  commandLine: string,
): Promise<() => Promise<MachineKernel>> {
  const read = (): Promise<MachineKernel> => readKernelFiles(path, initrds, commandLine);
  await checkKind("the kernel", path);
  for (const initrd of initrds) await checkKind("the initrd", initrd);
  let first: Promise<MachineKernel> | undefined = read();
  // What is wrong with it is told where it is asked for.
  first.catch(() => undefined);
  return () => {
    const reading = first ?? read();
    first = undefined;
    return reading;
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
    await using file = await open(path);
    return await readAtOnce(file);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
}

/** A file's bytes by one call of the host where it answers in full: this process does other things meanwhile. */
async function readAtOnce(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  // A block device does not tell its size; what is too large is told there.
  if (size === 0 || size > MOST_BYTES) return file.readFile();
  const bytes = Buffer.allocUnsafeSlow(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(bytes, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}
