import type { GuestMemory } from "@queztl/memory";
import type { BootPlan } from "./boot-plan.ts";
import { isBzImage } from "./bzimage.ts";
import { longState, protectedState, realState } from "./cpu-state.ts";
import { isElf, parseElf } from "./elf.ts";
import { bootError } from "./errors.ts";
import { loadBzImage, loadLinuxElf } from "./linux.ts";
import type { FlatImage, LoadContext, LoadKernelOptions } from "./load-context.ts";
import { memoryMap } from "./memory-map.ts";
import { findMultibootHeader, loadMultiboot } from "./multiboot.ts";
import { Placement } from "./placement.ts";
import { loadPvh } from "./pvh.ts";

/**
 * Loads a kernel with its initrd, command line and ACPI tables into guest memory, and says in which
 * state the boot CPU must start. The format is told by the file's first bytes: a bzImage (Linux boot protocol
 * 2.10 or later, by its 64-bit entry or, of a 32-bit kernel, by its 32-bit entry), an ELF kernel (PVH, multiboot 1 or Linux'
 * own entry) or a multiboot 1 kernel of another format; anything else needs `flat`. Nothing is written before everything
 * was checked.
 * @throws QZ_BOOT_UNKNOWN_KERNEL, QZ_BOOT_WRONG_ARCHITECTURE, QZ_BOOT_TRUNCATED and QZ_BOOT_MALFORMED for a
 * file that is no such kernel; QZ_BOOT_UNSUPPORTED for one that wants what this loader has not; QZ_BOOT_NOT_64_BIT for a
 * 32-bit one that is to start at a 64-bit entry;
 * QZ_BOOT_NO_ROOM and QZ_BOOT_OVERLAP when it does not fit; QZ_BOOT_COMMAND_LINE.
 */
export function loadKernel(memory: GuestMemory, options: LoadKernelOptions): BootPlan {
  const { kernel, acpi, smbios, reserved = [] } = options;
  const placement = new Placement(memory);
  if (acpi) placement.put("the ACPI tables", acpi.address, acpi.bytes);
  if (smbios) placement.put("the SMBIOS tables", smbios.address, smbios.bytes);
  const acpiRange = acpi ? [{ address: acpi.address, length: acpi.bytes.length }] : [];
  const context: LoadContext = {
    placement,
    options,
    memoryMap: memoryMap(memory.regions, reserved, acpiRange),
  };
  const plan = options.flat ? loadFlat(context, kernel, options.flat) : load(context, kernel);
  placement.commit();
  return plan;
}

function load(context: LoadContext, kernel: Uint8Array): BootPlan {
  const { entry } = context.options;
  if (entry === "multiboot") return loadMultiboot(context, kernel);
  if (isElf(kernel)) {
    const elf = parseElf(kernel);
    const byHeader = () => findMultibootHeader(kernel) !== undefined;
    if (entry === "pvh" || (entry === undefined && elf.pvhEntry !== undefined)) {
      return loadPvh(context, elf);
    }
    if (entry === undefined && byHeader()) return loadMultiboot(context, kernel);
    return loadLinuxElf(context, elf);
  }
  refuseForeign(kernel);
  if (isBzImage(kernel)) return loadBzImage(context, kernel);
  if (findMultibootHeader(kernel)) return loadMultiboot(context, kernel);
  const reason = kernel.length === 0 ? "it is empty" : "no format is recognised";
  throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason });
}

/** Kernel images of other architectures, by the magic number in their headers. */
const FOREIGN: readonly { readonly at: number; readonly magic: string; readonly found: string }[] =
  [
    { at: 0x38, magic: "ARM\x64", found: "arm64" },
    { at: 0x38, magic: "RSC\x05", found: "RISC-V" },
    { at: 0x04, magic: "zimg", found: "another architecture (an EFI zboot image)" },
  ];

function refuseForeign(kernel: Uint8Array): void {
  const text = new TextDecoder("latin1").decode(kernel.subarray(0, 0x40));
  for (const { at, magic, found } of FOREIGN) {
    if (text.startsWith(magic, at)) throw bootError("QZ_BOOT_WRONG_ARCHITECTURE", { found });
  }
}

function loadFlat(context: LoadContext, image: Uint8Array, flat: FlatImage): BootPlan {
  const { address, mode } = flat;
  if (image.length === 0) throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason: "it is empty" });
  const most = mode === "real16" ? 0x10_0000 : 2 ** 32;
  if (!Number.isInteger(address) || address < 0 || address >= most) {
    const reason = `a ${mode} image cannot start at ${address}`;
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "the flat image", reason });
  }
  context.placement.put("the flat image", address, image);
  const registers = { rip: address };
  const cpu =
    mode === "real16"
      ? realState(address)
      : mode === "protected32"
        ? protectedState(context.placement, registers)
        : longState(context.placement, registers);
  return { kind: "flat", mode, entry: address, cpu };
}
