import { hypervisorError } from "../errors.ts";

/*
 * Linux knows names, arguments and variables as bytes that need not be UTF-8. Here they are strings; a byte that is
 * no part of valid UTF-8 is a lone surrogate U+DC80 to U+DCFF, so that every name goes and comes unchanged.
 */
const ESCAPE = 0xdc00;
const LONE_BYTE = /(?<![\uD800-\uDBFF])[\uDC80-\uDCFF]/;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The bytes of a guest's string. */
export function encodeGuestString(text: string): Uint8Array {
  if (!LONE_BYTE.test(text)) return encoder.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** The string of a guest's bytes. */
export function decodeGuestString(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    let text = "";
    for (let at = 0; at < bytes.length;) {
      const [character, length] = decodeCharacter(bytes, at);
      text += character;
      at += length;
    }
    return text;
  }
}

function decodeCharacter(bytes: Uint8Array, at: number): [string, number] {
  const lead = bytes[at] as number;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  try {
    return [strict.decode(bytes.subarray(at, at + length)), length];
  } catch {
    return [String.fromCharCode(ESCAPE + lead), 1];
  }
}

/** A key and its value; a key may come more than once. */
export type Field = readonly [key: string, value: string | Uint8Array];

/** A message: each key and value behind its length, a big-endian 32-bit number. */
export function encodeFields(fields: readonly Field[]): Uint8Array {
  const parts = fields.flatMap(([key, value]) => [
    encoder.encode(key),
    typeof value === "string" ? encodeGuestString(value) : value,
  ]);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** A message that came, with its values as strings. */
export class Fields {
  readonly #values = new Map<string, string[]>();

  /** @throws QZ_HYPERVISOR_AGENT_PROTOCOL for bytes that are no message. */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let key: string | undefined;
    for (let at = 0; at < bytes.length;) {
      const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at) : Infinity;
      if (end > bytes.length) throw broken("a message that is cut off");
      const text = decodeGuestString(bytes.subarray(at + 4, end));
      at = end;
      if (key === undefined) {
        key = text;
        continue;
      }
      const values = this.#values.get(key);
      if (values) values.push(text);
      else this.#values.set(key, [text]);
      key = undefined;
    }
    if (key !== undefined) throw broken("a message with a key that has no value");
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text(key: string): string | undefined {
    return this.#values.get(key)?.[0];
  }

  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  /**
   * A whole number from 0 to 2^53 - 1; undefined where the key is missing.
   * @throws QZ_HYPERVISOR_AGENT_PROTOCOL for anything else.
   */
  count(key: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (!Number.isSafeInteger(value)) throw broken(`${key} is no number`);
    return value;
  }

  /** As `count`, for what must be there. */
  needed(key: string): number {
    const value = this.count(key);
    if (value === undefined) throw broken(`${key} is missing`);
    return value;
  }
}

/** The error of an agent that does not keep to the protocol. */
export function broken(reason: string): Error {
  return hypervisorError("QZ_HYPERVISOR_AGENT_PROTOCOL", { reason });
}
