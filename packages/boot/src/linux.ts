import { bootParams } from "./boot-params.ts";
import type { BootPlan } from "./boot-plan.ts";
import { parseSetupHeader } from "./bzimage.ts";
import { LINUX_COMMAND_LINE_MAX, putCommandLine } from "./command-line.ts";
import { LOW_LAYOUT, longState } from "./cpu-state.ts";
import type { ElfKernel } from "./elf.ts";
import { putSegments } from "./elf-segments.ts";
import { bootError } from "./errors.ts";
import type { LoadContext } from "./load-context.ts";
import { HIGH_MEMORY, putInitrd } from "./initrd.ts";

/** The 64-bit entry's distance from the protected-mode kernel's start (boot.rst, "64-bit Boot Protocol"). */
const ENTRY64_OFFSET = 0x200;

/** Starts a bzImage at its 64-bit entry: it decompresses itself in the guest. */
export function loadBzImage(context: LoadContext, file: Uint8Array): BootPlan {
  const header = parseSetupHeader(file);
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
  const plan = startLinux(context, {
    entry: address + ENTRY64_OFFSET,
    setupHeader: header.raw,
    commandLineMax: header.commandLineBytes,
    initrdBelow: header.initrdAddressMax + 1,
  });
  return header.kernelVersion === undefined
    ? plan
    : { ...plan, kernelVersion: header.kernelVersion };
}

/** Starts an uncompressed Linux at startup_64, as its own decompressor would. */
export function loadLinuxElf(context: LoadContext, elf: ElfKernel): BootPlan {
  if (elf.bits !== 64) throw bootError("QZ_BOOT_NOT_64_BIT", { reason: "a 32-bit ELF file" });
  const entry = putSegments(context.placement, elf);
  return startLinux(context, { entry, setupHeader: undefined });
}

interface LinuxStart {
  readonly entry: number;
  readonly setupHeader: Uint8Array | undefined;
  readonly commandLineMax?: number;
  readonly initrdBelow?: number;
}

function startLinux(context: LoadContext, start: LinuxStart): BootPlan {
  const { placement, options } = context;
  const { entry, setupHeader, commandLineMax = LINUX_COMMAND_LINE_MAX } = start;
  const commandLineAddress = putCommandLine(placement, options.commandLine ?? "", commandLineMax);
  const cpu = longState(placement, { rip: entry, rsi: LOW_LAYOUT.bootParams });
  const initrd = putInitrd(context, start.initrdBelow);
  const params = bootParams({
    setupHeader,
    commandLineAddress,
    initrd,
    memoryMap: context.memoryMap,
    rsdpAddress: options.acpi?.rsdpAddress ?? 0,
  });
  placement.put("the boot parameters", LOW_LAYOUT.bootParams, params);
  return { kind: "linux64", mode: "long64", entry, cpu, ...(initrd && { initrd }) };
}
