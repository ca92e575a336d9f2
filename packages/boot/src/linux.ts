import { bootParams } from "./boot-params.ts";
import type { BootPlan } from "./boot-plan.ts";
import { parseSetupHeader } from "./bzimage.ts";
import { LINUX_COMMAND_LINE_MAX, putCommandLine } from "./command-line.ts";
import { LOW_LAYOUT, longState, protectedState } from "./cpu-state.ts";
import type { ElfKernel } from "./elf.ts";
import { putSegments } from "./elf-segments.ts";
import { bootError } from "./errors.ts";
import type { LoadContext } from "./load-context.ts";
import { HIGH_MEMORY, putInitrd } from "./initrd.ts";

/** The 64-bit entry's distance from the protected-mode kernel's start (boot.rst, "64-bit Boot Protocol"). */
const ENTRY64_OFFSET = 0x200;

/** By which of Linux' two protocols a kernel is started: boot.rst, "32-bit Boot Protocol" and "64-bit Boot Protocol". */
type LinuxEntry = "linux32" | "linux64";

/** No 32-bit entry lies here. */
const FOUR_GIB = 2 ** 32;

/** Starts a bzImage at its 64-bit entry, or at its 32-bit entry where it has no other: it decompresses itself in the guest. */
export function loadBzImage(context: LoadContext, file: Uint8Array): BootPlan {
  const header = parseSetupHeader(file);
  const kind = entryOf(context, header.entry64, "a 32-bit bzImage");
  const code = file.subarray(header.kernelOffset);
  const length = Math.max(code.length, header.initBytes);
  const { placement } = context;
  const address = header.preferredAddress;
  if (address < HIGH_MEMORY) {
    throw bootError("QZ_BOOT_MALFORMED", {
      what: "the bzImage",
      reason: "it wants to be below 1 MiB",
    });
  }
  placement.put("the kernel", address, code, length);
  const plan = startLinux(context, kind, {
    entry: kind === "linux64" ? address + ENTRY64_OFFSET : address,
    setupHeader: header.raw,
    codeAddress: address,
    commandLineMax: header.commandLineBytes,
    initrdBelow: header.initrdAddressMax + 1,
  });
  return header.kernelVersion === undefined
    ? plan
    : { ...plan, kernelVersion: header.kernelVersion };
}

/** Starts an uncompressed Linux at startup_64 or startup_32, as its own decompressor would. */
export function loadLinuxElf(context: LoadContext, elf: ElfKernel): BootPlan {
  const kind = entryOf(context, elf.bits === 64, "a 32-bit ELF file");
  if (kind === "linux32" && elf.bits === 64) {
    const reason = "a 64-bit ELF kernel has no 32-bit entry; its bzImage has one";
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "this kernel", reason });
  }
  const entry = putSegments(context.placement, elf);
  return startLinux(context, kind, { entry, setupHeader: undefined });
}

/** What was asked for, or what the kernel's width says. @throws QZ_BOOT_NOT_64_BIT */
function entryOf(context: LoadContext, has64: boolean, otherwise: string): LinuxEntry {
  const wanted = context.options.entry;
  if (wanted === "linux64" && !has64) throw bootError("QZ_BOOT_NOT_64_BIT", { reason: otherwise });
  return wanted === "linux32" || !has64 ? "linux32" : "linux64";
}

interface LinuxStart {
  readonly entry: number;
  readonly setupHeader: Uint8Array | undefined;
  /** Where the protected-mode code of a bzImage lies. */
  readonly codeAddress?: number;
  readonly commandLineMax?: number;
  readonly initrdBelow?: number;
}

function startLinux(context: LoadContext, kind: LinuxEntry, start: LinuxStart): BootPlan {
  const { placement, options } = context;
  const { entry, setupHeader, commandLineMax = LINUX_COMMAND_LINE_MAX } = start;
  const commandLineAddress = putCommandLine(placement, options.commandLine ?? "", commandLineMax);
  const wide = kind === "linux64";
  if (!wide && entry >= FOUR_GIB) {
    const reason = "its 32-bit entry is at 4 GiB or above";
    throw bootError("QZ_BOOT_MALFORMED", { what: "the kernel", reason });
  }
  const registers = { rip: entry, rsi: LOW_LAYOUT.bootParams };
  const cpu = wide ? longState(placement, registers) : protectedState(placement, registers);
  const initrd = putInitrd(context, start.initrdBelow);
  const params = bootParams({
    setupHeader,
    codeAddress: start.codeAddress,
    commandLineAddress,
    initrd,
    memoryMap: context.memoryMap,
    rsdpAddress: options.acpi?.rsdpAddress ?? 0,
  });
  placement.put("the boot parameters", LOW_LAYOUT.bootParams, params);
  const mode = wide ? "long64" : "protected32";
  return { kind, mode, entry, cpu, ...(initrd && { initrd }) };
}
