import { ByteView } from "./byte-view.ts";
import { decompress, kernelPayload } from "./compression.ts";
import { isElf } from "./elf.ts";
import { bootError } from "./errors.ts";

/** Offset of the setup header in a bzImage and in boot_params (Linux Documentation/arch/x86/boot.rst). */
export const SETUP_HEADER_OFFSET = 0x1f1;

const SECTOR_BYTES = 512;
const HEADER_MAGIC = 0x53726448; // "HdrS"
const XLF_KERNEL_64 = 1;
const LOADED_HIGH = 1;

/** The first protocol that says where a kernel wants to be and how much memory it needs there: 2.10. */
const OLDEST_PROTOCOL = 0x20a;
/** The first protocol with a 64-bit entry: 2.12. */
const PROTOCOL_ENTRY64 = 0x20c;

/** What the setup header of a bzImage says (Linux boot protocol 2.10 and later). */
export interface SetupHeader {
  /** The boot protocol's version, major in the high byte: 0x020f is 2.15. */
  readonly version: number;
  /** Offset in the file of the protected-mode kernel, in bytes. */
  readonly kernelOffset: number;
  /** The protected-mode kernel's address if it is not moved. */
  readonly preferredAddress: number;
  /** Whether the kernel may be loaded elsewhere, and what that address must be a multiple of. */
  readonly relocatable: boolean;
  readonly alignment: number;
  /** Contiguous memory the kernel needs from its load address, in bytes. */
  readonly initBytes: number;
  /** The longest command line, in bytes without the final zero. */
  readonly commandLineBytes: number;
  /** The highest address a byte of the initrd may have. */
  readonly initrdAddressMax: number;
  readonly xloadflags: number;
  /** Whether it has the 64-bit entry; without, it is a 32-bit kernel. Every bzImage has the 32-bit entry. */
  readonly entry64: boolean;
  /** The compressed kernel, as offset and length in the file, in bytes. */
  readonly payloadOffset: number;
  readonly payloadLength: number;
  /** The kernel's version string, when the header points to one. */
  readonly kernelVersion: string | undefined;
  /** The header as it stands, to be copied to boot_params. */
  readonly raw: Uint8Array;
}

/** Whether the file carries the Linux/x86 setup header's magic. */
export function isBzImage(file: Uint8Array): boolean {
  if (file.length < 0x206) return false;
  const view = new ByteView(file, "the kernel");
  return view.u16(0x1fe) === 0xaa55 && view.u32(0x202) === HEADER_MAGIC;
}

/**
 * Reads and checks a bzImage's setup header.
 * @throws QZ_BOOT_UNKNOWN_KERNEL without the header's magic, QZ_BOOT_UNSUPPORTED for a boot protocol before 2.10 and for a
 * zImage, QZ_BOOT_TRUNCATED and QZ_BOOT_MALFORMED for a damaged one.
 */
export function parseSetupHeader(file: Uint8Array): SetupHeader {
  if (!isBzImage(file)) {
    throw bootError("QZ_BOOT_UNKNOWN_KERNEL", { reason: "no Linux setup header" });
  }
  const view = new ByteView(file, "the bzImage");
  const version = view.u16(0x206);
  if (version < OLDEST_PROTOCOL) {
    throw unsupported(`it has boot protocol ${version >> 8}.${version & 0xff}, 2.10 is needed`);
  }
  if (!(view.u8(0x211) & LOADED_HIGH)) throw unsupported("it is a zImage, to be loaded low");
  const xloadflags = view.u16(0x236);
  const kernelOffset = ((view.u8(0x1f1) || 4) + 1) * SECTOR_BYTES;
  // The jump over the header ends it: its displacement counts from 0x202.
  const raw = view.slice(SETUP_HEADER_OFFSET, 0x202 + view.u8(0x201) - SETUP_HEADER_OFFSET);
  if (raw.length < 0x264 - SETUP_HEADER_OFFSET) throw malformed("its header is too short");
  view.slice(kernelOffset, 1);
  const alignment = view.u32(0x230);
  if (alignment === 0 || alignment & (alignment - 1)) {
    throw malformed(`its alignment is ${alignment}`);
  }
  return {
    version,
    kernelOffset,
    preferredAddress: view.offset64(0x258),
    relocatable: view.u8(0x234) !== 0,
    alignment,
    initBytes: view.u32(0x260),
    commandLineBytes: view.u32(0x238),
    initrdAddressMax: view.u32(0x22c),
    xloadflags,
    entry64: version >= PROTOCOL_ENTRY64 && (xloadflags & XLF_KERNEL_64) !== 0,
    payloadOffset: kernelOffset + view.u32(0x248),
    payloadLength: view.u32(0x24c),
    kernelVersion: versionString(view),
    raw,
  };
}

/**
 * Takes the ELF kernel out of a bzImage and decompresses it on the host, so that the guest does not
 * spend its boot on that.
 * @param limit the most bytes to decompress to; default 1 GiB.
 * @throws what `parseSetupHeader` and `decompress` throw.
 */
export async function extractVmlinux(
  bzImage: Uint8Array,
  limit?: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = parseSetupHeader(bzImage);
  const view = new ByteView(bzImage, "the bzImage");
  const payload = view.slice(header.payloadOffset, header.payloadLength);
  if (isElf(payload)) return payload.slice();
  const { format, data, uncompressedBytes } = kernelPayload(payload);
  if (format === undefined) {
    const what = "the bzImage's payload";
    throw bootError("QZ_BOOT_COMPRESSION", { what, format: "an unknown format" });
  }
  const vmlinux = await decompress(data, { format, ...(limit === undefined ? {} : { limit }) });
  if (vmlinux.length !== uncompressedBytes) {
    const reason = `${vmlinux.length} bytes instead of ${uncompressedBytes}`;
    throw bootError("QZ_BOOT_DECOMPRESSION", { format, reason });
  }
  if (!isElf(vmlinux)) throw malformed("its payload is no ELF file");
  return vmlinux;
}

function versionString(view: ByteView): string | undefined {
  const pointer = view.u16(0x20e);
  if (pointer === 0) return undefined;
  const start = pointer + 0x200;
  const end = view.bytes.indexOf(0, start);
  if (end < 0 || end - start > 512) return undefined;
  return new TextDecoder("latin1").decode(view.slice(start, end - start));
}

function unsupported(reason: string) {
  return bootError("QZ_BOOT_UNSUPPORTED", { what: "this bzImage", reason });
}

function malformed(reason: string) {
  return bootError("QZ_BOOT_MALFORMED", { what: "the bzImage", reason });
}
