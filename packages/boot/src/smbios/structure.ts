import { bootError } from "../errors.ts";

/**
 * One field of a structure: a text, which becomes its number among the structure's strings ("" is none), or a
 * number of 1, 2, 4 or 8 bytes.
 */
export type Field = string | readonly [bytes: 1 | 2 | 4 | 8, value: number];

const HEADER_BYTES = 4;

/**
 * An SMBIOS structure: type, length, handle and fields, then its strings, each ended by a zero, and one more zero
 * (DSP0134 3.0, 6.1).
 * @throws QZ_BOOT_SMBIOS for a value that does not fit its field.
 */
export function structure(type: number, handle: number, fields: readonly Field[]): Uint8Array {
  const width = (field: Field): number => (typeof field === "string" ? 1 : field[0]);
  const length = fields.reduce((sum, field) => sum + width(field), HEADER_BYTES);
  const formatted = new Uint8Array(length);
  const view = new DataView(formatted.buffer);
  const strings: string[] = [];
  view.setUint8(0, type);
  view.setUint8(1, length);
  view.setUint16(2, handle, true);
  let at = HEADER_BYTES;
  for (const field of fields) {
    if (typeof field !== "string") putNumber(view, at, ...field);
    else if (field !== "") view.setUint8(at, strings.push(field));
    at += width(field);
  }
  const text = strings.length === 0 ? "\0\0" : `${strings.join("\0")}\0\0`;
  const bytes = new Uint8Array(length + text.length);
  bytes.set(formatted);
  bytes.set(new TextEncoder().encode(text), length);
  return bytes;
}

function putNumber(view: DataView, at: number, bytes: 1 | 2 | 4 | 8, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * bytes))
    throw bootError("QZ_BOOT_SMBIOS", { reason: `${value} does not fit ${bytes} bytes` });
  let rest = BigInt(value);
  for (let i = 0; i < bytes; i++, rest >>= 8n) view.setUint8(at + i, Number(rest & 0xffn));
}
