import type { LoadContext } from "./load-context.ts";
import type { MemoryRange } from "./memory-map.ts";

/** Where memory beyond the real-mode megabyte begins. */
export const HIGH_MEMORY = 0x10_0000;

/** Below what an initrd must end where no header says otherwise: every x86-64 Linux reaches it there. */
const INITRD_BELOW = 0x8000_0000;

const PAGE_BYTES = 4096;

/**
 * Puts the initrd as high as possible, page-aligned, out of the kernel's way.
 * @returns where it is, or undefined when there is none. @throws QZ_BOOT_NO_ROOM
 */
export function putInitrd(context: LoadContext, below = INITRD_BELOW): MemoryRange | undefined {
  const { initrd } = context.options;
  if (initrd === undefined || initrd.length === 0) return undefined;
  const limits = { below, least: HIGH_MEMORY, align: PAGE_BYTES };
  const address = context.placement.putHigh("the initrd", initrd, limits);
  return { address, length: initrd.length };
}

/** A module in guest memory and its command line, zero if it has none. */
export interface PlacedModule extends MemoryRange {
  readonly commandLine: string;
}

/** Puts the initrd and the modules, the initrd first. @throws QZ_BOOT_NO_ROOM */
export function putModules(context: LoadContext): PlacedModule[] {
  const { initrd, modules = [] } = context.options;
  const all = initrd === undefined ? modules : [{ bytes: initrd, commandLine: "" }, ...modules];
  return all.map((module, index) => {
    const what = index === 0 && initrd ? "the initrd" : `module ${index}`;
    const limits = { below: INITRD_BELOW, least: HIGH_MEMORY, align: PAGE_BYTES };
    const address = context.placement.putHigh(what, module.bytes, limits);
    return { address, length: module.bytes.length, commandLine: module.commandLine ?? "" };
  });
}
