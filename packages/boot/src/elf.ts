import { ByteView } from "./byte-view.ts";
import { bootError } from "./errors.ts";

/** A PT_LOAD segment: the bytes to load and how much memory they take, the rest zeros. */
export interface ElfSegment {
  /** Physical and virtual address. Virtual ones of 64-bit kernels exceed 2^53. */
  readonly physical: number;
  readonly virtual: bigint;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}

/** What a loader needs of an ELF executable (ELF-64 Object File Format 1.5; System V gABI for ELF-32). */
export interface ElfKernel {
  readonly bits: 32 | 64;
  readonly segments: readonly ElfSegment[];
  /** The entry as the header gives it: physical for Linux, usually virtual for others. */
  readonly entry: bigint;
  /** The 32-bit entry of the PVH note (XEN_ELFNOTE_PHYS32_ENTRY), when there is one. */
  readonly pvhEntry: number | undefined;
}

const MAGIC = [0x7f, 0x45, 0x4c, 0x46];
const PT_LOAD = 1;
const PT_NOTE = 4;
/** Far more than any kernel has; they bound the work that a hostile file can ask for. */
const PROGRAM_HEADERS_MAX = 128;
const NOTE_BYTES_MAX = 1 << 16;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const EM_386 = 3;
const EM_X86_64 = 62;

const MACHINES: Readonly<Record<number, string>> = {
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC",
  22: "s390",
  40: "32-bit ARM",
  183: "arm64",
  243: "RISC-V",
  258: "LoongArch",
};

/** Whether the file begins as an ELF file does. */
export function isElf(file: Uint8Array): boolean {
  return MAGIC.every((byte, i) => file[i] === byte);
}

/**
 * Reads the program headers and notes of an x86 ELF executable.
 * @throws QZ_BOOT_WRONG_ARCHITECTURE, QZ_BOOT_UNKNOWN_KERNEL for an ELF file that cannot be loaded (no PT_LOAD, an
 * object file, big-endian), QZ_BOOT_TRUNCATED and QZ_BOOT_MALFORMED for a damaged one.
 */
export function parseElf(file: Uint8Array): ElfKernel {
  if (!isElf(file)) throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason: "no ELF file" });
  const view = new ByteView(file, "the ELF kernel");
  const elfClass = view.u8(4);
  if (elfClass !== 1 && elfClass !== 2) throw malformed(`class ${elfClass}`);
  if (view.u8(5) !== 1)
    throw bootError("QZ_BOOT_WRONG_ARCHITECTURE", { found: "a big-endian CPU" });
  const machine = view.u16(18);
  if (machine !== EM_X86_64 && machine !== EM_386) {
    const found = MACHINES[machine] ?? `ELF machine ${machine}`;
    throw bootError("QZ_BOOT_WRONG_ARCHITECTURE", { found });
  }
  const type = view.u16(16);
  if (type !== 2 && type !== 3) {
    throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason: "an ELF file that is no executable" });
  }
  const wide = elfClass === 2;
  const entry = wide ? view.u64(24) : BigInt(view.u32(24));
  const headers = wide ? view.offset64(32) : view.u32(28);
  const headerBytes = view.u16(wide ? 54 : 42);
  const count = view.u16(wide ? 56 : 44);
  if (headerBytes < (wide ? 56 : 32)) throw malformed(`program headers of ${headerBytes} bytes`);

  if (count > PROGRAM_HEADERS_MAX) throw malformed(`it has ${count} program headers`);

  const segments: ElfSegment[] = [];
  let pvhEntry: number | undefined;
  for (let i = 0; i < count; i++) {
    const header = programHeader(view, headers + i * headerBytes, wide);
    if (header.type === PT_NOTE) {
      if (header.fileBytes > NOTE_BYTES_MAX) throw malformed("its notes are too long");
      pvhEntry ??= findPvhEntry(view.slice(header.offset, header.fileBytes));
    } else if (header.type === PT_LOAD && header.memoryBytes > 0) {
      if (header.fileBytes > header.memoryBytes) throw malformed("a segment outgrows its memory");
      segments.push({
        physical: header.physical,
        virtual: header.virtual,
        bytes: view.slice(header.offset, header.fileBytes),
        memoryBytes: header.memoryBytes,
      });
    }
  }
  if (segments.length === 0) {
    throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason: "an ELF file with nothing to load" });
  }
  return { bits: wide ? 64 : 32, segments, entry, pvhEntry };
}

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly virtual: bigint;
  readonly physical: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

function programHeader(view: ByteView, at: number, wide: boolean): ProgramHeader {
  const type = view.u32(at);
  // Only what is loaded or read need make sense: PT_GNU_STACK and the like may hold anything.
  if (type !== PT_LOAD && type !== PT_NOTE) {
    return { type, offset: 0, virtual: 0n, physical: 0, fileBytes: 0, memoryBytes: 0 };
  }
  return wide
    ? {
        type,
        offset: view.offset64(at + 8),
        virtual: view.u64(at + 16),
        physical: view.offset64(at + 24),
        fileBytes: view.offset64(at + 32),
        memoryBytes: view.offset64(at + 40),
      }
    : {
        type,
        offset: view.u32(at + 4),
        virtual: BigInt(view.u32(at + 8)),
        physical: view.u32(at + 12),
        fileBytes: view.u32(at + 16),
        memoryBytes: view.u32(at + 20),
      };
}

function findPvhEntry(notes: Uint8Array): number | undefined {
  const view = new ByteView(notes, "the ELF kernel's notes");
  for (let at = 0; at + 12 <= notes.length;) {
    const nameBytes = view.u32(at);
    const descriptionBytes = view.u32(at + 4);
    const type = view.u32(at + 8);
    const description = at + 12 + align4(nameBytes);
    const isXen = nameBytes === 4 && view.u32(at + 12) === 0x006e_6558; // "Xen\0"
    if (isXen && type === XEN_ELFNOTE_PHYS32_ENTRY) {
      if (descriptionBytes !== 4 && descriptionBytes !== 8) throw malformed("its PVH note is odd");
      return view.u32(description);
    }
    at = description + align4(descriptionBytes);
  }
  return undefined;
}

function align4(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function malformed(reason: string) {
  return bootError("QZ_BOOT_MALFORMED", { what: "the ELF kernel", reason });
}
