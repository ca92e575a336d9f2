import type { BootPlan } from "./boot-plan.ts";
import { LINUX_COMMAND_LINE_MAX, putCommandLine } from "./command-line.ts";
import { LOW_LAYOUT, protectedState } from "./cpu-state.ts";
import type { ElfKernel } from "./elf.ts";
import { checkEntry, putSegments } from "./elf-segments.ts";
import { bootError } from "./errors.ts";
import { putModules } from "./initrd.ts";
import type { LoadContext } from "./load-context.ts";
import { putModuleCommandLines } from "./module-command-lines.ts";

const START_MAGIC = 0x336e_c578;
const START_INFO_BYTES = 56;
const MODULE_BYTES = 32;
const MEMORY_MAP_BYTES = 24;

/** Starts an ELF kernel by its PVH note (Xen docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"). */
export function loadPvh(context: LoadContext, elf: ElfKernel): BootPlan {
  const { placement, options, memoryMap } = context;
  const entry = elf.pvhEntry;
  if (entry === undefined) {
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "this kernel", reason: "it has no PVH note" });
  }
  putSegments(placement, elf);
  checkEntry(elf, entry);
  const commandLine = options.commandLine ?? "";
  const commandLineAddress = putCommandLine(placement, commandLine, LINUX_COMMAND_LINE_MAX);
  const modules = putModules(context);
  const commandLines = putModuleCommandLines(placement, modules);

  const modulesAt = START_INFO_BYTES;
  const mapAt = modulesAt + modules.length * MODULE_BYTES;
  const bytes = new Uint8Array(mapAt + memoryMap.length * MEMORY_MAP_BYTES);
  const view = new DataView(bytes.buffer);
  const address = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  const base = LOW_LAYOUT.startInfo;
  view.setUint32(0, START_MAGIC, true);
  view.setUint32(4, 1, true); // version
  view.setUint32(12, modules.length, true);
  address(16, modules.length > 0 ? base + modulesAt : 0);
  address(24, commandLineAddress);
  address(32, options.acpi?.rsdpAddress ?? 0);
  address(40, base + mapAt);
  view.setUint32(48, memoryMap.length, true);
  modules.forEach((module, index) => {
    const at = modulesAt + index * MODULE_BYTES;
    address(at, module.address);
    address(at + 8, module.length);
    address(at + 16, commandLines[index] ?? 0);
  });
  memoryMap.forEach((range, index) => {
    const at = mapAt + index * MEMORY_MAP_BYTES;
    address(at, range.address);
    address(at + 8, range.length);
    view.setUint32(at + 16, range.type, true);
  });
  placement.put("the start info", base, bytes);
  const cpu = protectedState(placement, { rip: entry, rbx: base });
  const initrd = options.initrd && modules[0];
  return {
    kind: "pvh",
    mode: "protected32",
    entry,
    cpu,
    ...(initrd && { initrd: { address: initrd.address, length: initrd.length } }),
  };
}
