import type { BootPlan } from "./boot-plan.ts";
import { ByteView } from "./byte-view.ts";
import { putCommandLine } from "./command-line.ts";
import { LOW_LAYOUT, protectedState } from "./cpu-state.ts";
import { isElf, parseElf } from "./elf.ts";
import { putSegments } from "./elf-segments.ts";
import { bootError } from "./errors.ts";
import { putModules } from "./initrd.ts";
import type { LoadContext } from "./load-context.ts";
import { MemoryType } from "./memory-map.ts";
import { putModuleCommandLines } from "./module-command-lines.ts";
import type { Placement } from "./placement.ts";

const HEADER_MAGIC = 0x1bad_b002;
const BOOT_MAGIC = 0x2bad_b002;
/** The header lies in the first 8 KiB of the file, 4-byte aligned. */
const SEARCH_BYTES = 8192;

/** Bits of the header's flags. The loader must know bits 0 to 15 or refuse; the video mode is a wish. */
const FLAG_ADDRESSES = 1 << 16;
const FLAGS_KNOWN = 0b111;

/** Bits of the information's flags that say which fields are there. */
const INFO = { memory: 1, commandLine: 4, modules: 8, memoryMap: 0x40, loaderName: 0x200 } as const;
const INFO_BYTES = 116;
const MODULE_BYTES = 16;
const MAP_ENTRY_BYTES = 24;
const LOADER_NAME = new TextEncoder().encode("queztl\0");

/** The multiboot header of a kernel file (Multiboot Specification 0.6.96, 3.1). */
export interface MultibootHeader {
  readonly flags: number;
  /** Where the header is in the file, in bytes. */
  readonly offset: number;
  /** The load addresses of a kernel that is not taken as ELF ("a.out kludge"), when flag 16 says so. */
  readonly addresses:
    | {
        readonly header: number;
        readonly load: number;
        readonly loadEnd: number;
        readonly bssEnd: number;
        readonly entry: number;
      }
    | undefined;
}

/** Looks for a multiboot 1 header. @throws QZ_BOOT_TRUNCATED when the file ends inside it. */
export function findMultibootHeader(file: Uint8Array): MultibootHeader | undefined {
  const view = new ByteView(file, "the multiboot header");
  const last = Math.min(SEARCH_BYTES, file.length) - 12;
  for (let at = 0; at <= last; at += 4) {
    if (view.u32(at) !== HEADER_MAGIC) continue;
    const flags = view.u32(at + 4);
    if ((HEADER_MAGIC + flags + view.u32(at + 8)) % 2 ** 32 !== 0) continue;
    const field = (index: number) => view.u32(at + 12 + index * 4);
    const addresses =
      flags & FLAG_ADDRESSES
        ? {
            header: field(0),
            load: field(1),
            loadEnd: field(2),
            bssEnd: field(3),
            entry: field(4),
          }
        : undefined;
    return { flags, offset: at, addresses };
  }
  return undefined;
}

/** Starts a multiboot 1 kernel (Multiboot Specification 0.6.96, 3.2 and 3.3). */
export function loadMultiboot(context: LoadContext, file: Uint8Array): BootPlan {
  const { placement, options } = context;
  const header = findMultibootHeader(file);
  if (!header) {
    const reason = "it has no multiboot header in its first 8 KiB";
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "this kernel", reason });
  }
  const unknown = header.flags & 0xffff & ~FLAGS_KNOWN;
  if (unknown !== 0) {
    const reason = `its multiboot header requires features 0x${unknown.toString(16)}`;
    throw bootError("QZ_BOOT_UNSUPPORTED", { what: "this kernel", reason });
  }
  const entry = header.addresses
    ? putKludge(placement, file, header.offset, header.addresses)
    : putElf(placement, file);
  const commandLineAddress = putCommandLine(placement, options.commandLine ?? "");
  const infoAddress = putInfo(context, commandLineAddress);
  const cpu = protectedState(placement, { rip: entry, rax: BOOT_MAGIC, rbx: infoAddress });
  return { kind: "multiboot", mode: "protected32", entry, cpu };
}

function putElf(placement: Placement, file: Uint8Array): number {
  if (!isElf(file)) {
    throw bootError("QZ_BOOT_MALFORMED", {
      what: "the multiboot kernel",
      reason: "it is no ELF file and its header gives no addresses",
    });
  }
  return putSegments(placement, parseElf(file));
}

function putKludge(
  placement: Placement,
  file: Uint8Array,
  headerOffset: number,
  addresses: NonNullable<MultibootHeader["addresses"]>,
): number {
  const { header, load, loadEnd, bssEnd, entry } = addresses;
  const malformed = (reason: string) =>
    bootError("QZ_BOOT_MALFORMED", { what: "the multiboot header", reason });
  const start = headerOffset - (header - load);
  if (header < load || start < 0) throw malformed("its load address is not in the file");
  const fileBytes = loadEnd === 0 ? file.length - start : loadEnd - load;
  if (fileBytes <= 0 || start + fileBytes > file.length) {
    throw malformed("it loads more than the file has");
  }
  const length = Math.max(fileBytes, bssEnd === 0 ? 0 : bssEnd - load);
  if (entry < load || entry >= load + length) throw malformed("its entry is outside the kernel");
  placement.put("the kernel", load, file.subarray(start, start + fileBytes), length);
  return entry;
}

/** Puts the multiboot information and the tables it points to. */
function putInfo(context: LoadContext, commandLineAddress: number): number {
  const { placement, memoryMap } = context;
  const modules = putModules(context);
  const commandLines = putModuleCommandLines(placement, modules);
  const base = LOW_LAYOUT.multibootInfo;
  const modulesAt = INFO_BYTES;
  const mapAt = modulesAt + modules.length * MODULE_BYTES;
  const nameAt = mapAt + memoryMap.length * MAP_ENTRY_BYTES;
  const bytes = new Uint8Array(nameAt + LOADER_NAME.length);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);

  const upper = memoryMap.find((e) => e.type === MemoryType.Ram && e.address === 0x10_0000);
  const lower = memoryMap.find((e) => e.type === MemoryType.Ram && e.address === 0);
  u32(0, INFO.memory | INFO.commandLine | INFO.modules | INFO.memoryMap | INFO.loaderName);
  u32(4, Math.floor((lower?.length ?? 0) / 1024));
  u32(8, Math.floor((upper?.length ?? 0) / 1024));
  u32(16, commandLineAddress);
  u32(20, modules.length);
  u32(24, base + modulesAt);
  u32(44, memoryMap.length * MAP_ENTRY_BYTES);
  u32(48, base + mapAt);
  u32(64, base + nameAt);
  modules.forEach((module, index) => {
    const at = modulesAt + index * MODULE_BYTES;
    u32(at, module.address);
    u32(at + 4, module.address + module.length);
    u32(at + 8, commandLines[index] ?? 0);
  });
  memoryMap.forEach((range, index) => {
    const at = mapAt + index * MAP_ENTRY_BYTES;
    // The size field does not count itself.
    u32(at, MAP_ENTRY_BYTES - 4);
    view.setBigUint64(at + 4, BigInt(range.address), true);
    view.setBigUint64(at + 12, BigInt(range.length), true);
    u32(at + 20, range.type);
  });
  bytes.set(LOADER_NAME, nameAt);
  placement.put("the multiboot information", base, bytes);
  return base;
}
