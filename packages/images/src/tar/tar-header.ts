import { imagesError } from "../errors.ts";

/** Bytes of a header, and the unit that contents are filled up to. */
export const TAR_BLOCK_BYTES = 512;

/** A header as it stands in the archive, before the longer forms of its fields are applied. */
export interface TarHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  /** One character: "0" a file, "5" a directory. */
  readonly typeFlag: string;
  readonly linkName: string;
  readonly major: number;
  readonly minor: number;
}

const utf8 = new TextDecoder();

/**
 * Reads a header block of the ustar, GNU or oldest format (POSIX.1-2017, pax, "ustar Interchange Format").
 * @throws QZ_IMAGES_BAD_ARCHIVE where the checksum or a number is wrong.
 */
export function parseTarHeader(block: Uint8Array): TarHeader {
  checkSum(block);
  const magic = text(block, 257, 8);
  // GNU tar keeps other things where ustar has the beginning of a long name.
  const prefix = magic === "ustar" ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    typeFlag: String.fromCharCode(block[156] || 0x30),
    linkName: text(block, 157, 100),
    major: magic === "" ? 0 : number(block, 329, 8),
    minor: magic === "" ? 0 : number(block, 337, 8),
  };
}

/** The records of a pax header: "LENGTH KEY=VALUE\n". Values are bytes, as extended attributes need. */
export function parsePaxRecords(bytes: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 || space - at > 12 ? "" : utf8.decode(bytes.subarray(at, space));
    const end = at + Number(digits);
    if (!/^[1-9]\d*$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw badArchive("a pax header is damaged");
    }
    const equals = bytes.indexOf(0x3d, space);
    if (equals < 0 || equals >= end) throw badArchive("a pax record has no value");
    records.set(utf8.decode(bytes.subarray(space + 1, equals)), bytes.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

export function badArchive(reason: string, cause?: unknown) {
  return imagesError("QZ_IMAGES_BAD_ARCHIVE", { reason }, { cause });
}

function checkSum(block: Uint8Array): void {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (block[i] as number);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stored = number(block, 148, 8);
  // Some old archivers summed signed bytes.
  if (stored !== unsigned && stored !== signed) throw badArchive("a header's checksum is wrong");
}

function text(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8.decode(end < 0 ? field : field.subarray(0, end)).trimEnd();
}

/** Octal digits, or GNU's big-endian binary where the first bit is set. */
function number(block: Uint8Array, at: number, length: number): number {
  const first = block[at] as number;
  if (first & 0x80) {
    // Two's complement: 0xff begins a negative number.
    let value = first === 0xff ? -1 : first & 0x7f;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + (block[i] as number);
    if (!Number.isSafeInteger(value)) throw badArchive("a number in a header is too large");
    return value;
  }
  let digits = "";
  for (let i = at; i < at + length; i++) digits += String.fromCharCode(block[i] as number);
  digits = digits.replace(/\0[\s\S]*$/, "").trim();
  if (!/^[0-7]*$/.test(digits)) throw badArchive("a number in a header is not octal");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}
