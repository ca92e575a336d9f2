import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { extractVmlinux, isBzImage, parseSetupHeader } from "@queztl/boot";
import type { MachineKernel } from "../machine-options.ts";
import { checkKind, unreadable } from "./host-devices.ts";

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

async function readInput(what: string, path: string): Promise<Uint8Array> {
  await checkKind(what, path);
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
}
