import { bootError } from "../errors.ts";

/** Encoded ACPI Machine Language (ACPI 6.5, chapter 20): what the functions here return and take. */
export type Aml = readonly number[];

// Opcodes (ACPI 6.5, table 20.4).
const OP = {
  zero: 0x00,
  one: 0x01,
  name: 0x08,
  byte: 0x0a,
  word: 0x0b,
  dword: 0x0c,
  string: 0x0d,
  qword: 0x0e,
  scope: 0x10,
  buffer: 0x11,
  package: 0x12,
  method: 0x14,
  dualName: 0x2e,
  multiName: 0x2f,
  extended: 0x5b,
  root: 0x5c,
  arg0: 0x68,
  store: 0x70,
  if: 0xa0,
  return: 0xa4,
  device: 0x82,
} as const;

const bad = (reason: string) => bootError("QZ_BOOT_ACPI", { reason });

/** The `length` bytes of a number, lowest first. */
export function littleEndian(value: number | bigint, length: number): number[] {
  const wide = BigInt(value);
  if (wide < 0n || wide >> BigInt(8 * length) !== 0n) {
    throw bad(`${value} does not fit ${length} bytes`);
  }
  return Array.from({ length }, (_, i) => Number((wide >> BigInt(8 * i)) & 0xffn));
}

/** An integer constant, in the shortest form (20.2.3). */
export function integer(value: number | bigint): Aml {
  const wide = BigInt(value);
  if (wide === 0n) return [OP.zero];
  if (wide === 1n) return [OP.one];
  if (wide < 0x100n) return [OP.byte, ...littleEndian(wide, 1)];
  if (wide < 0x1_0000n) return [OP.word, ...littleEndian(wide, 2)];
  if (wide < 0x1_0000_0000n) return [OP.dword, ...littleEndian(wide, 4)];
  return [OP.qword, ...littleEndian(wide, 8)];
}

/** A string constant of ASCII characters. */
export function string(text: string): Aml {
  const codes = ascii(text);
  if (codes.some((code) => code === 0 || code > 0x7f)) {
    throw bad(`${JSON.stringify(text)} is not ASCII`);
  }
  return [OP.string, ...codes, 0];
}

/** A compressed EISA identifier such as "PNP0A03" (6.1.5). */
export function eisaId(id: string): Aml {
  const match = /^([A-Z])([A-Z])([A-Z])([0-9A-F]{4})$/.exec(id);
  if (!match) throw bad(`${id} is no EISA identifier`);
  const letter = (index: number) => (match[index]?.charCodeAt(0) ?? 0) - 0x40;
  const vendor = (letter(1) << 10) | (letter(2) << 5) | letter(3);
  const product = Number.parseInt(match[4] ?? "", 16);
  // The bytes stand in the order of the text: highest first.
  return [OP.dword, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

/** A device's hardware identifier: compressed where it is an EISA one, a string otherwise. */
export function hardwareId(id: string): Aml {
  return /^[A-Z]{3}[0-9A-F]{4}$/.test(id) && id.startsWith("PNP") ? eisaId(id) : string(id);
}

/** A path such as "_SB_.PCI0" or "\\_S5_": segments of at most four characters (20.2.2). */
export function namePath(path: string): Aml {
  const absolute = path.startsWith("\\");
  const segments = (absolute ? path.slice(1) : path).split(".").map((segment) => {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw bad(`${path} is no name`);
    return ascii(segment.padEnd(4, "_"));
  });
  const prefix = absolute ? [OP.root] : [];
  if (segments.length === 1) return [...prefix, ...segments.flat()];
  const lead = segments.length === 2 ? [OP.dualName] : [OP.multiName, segments.length];
  return [...prefix, ...lead, ...segments.flat()];
}

/** Name(path, value). */
export function name(path: string, value: Aml): Aml {
  return [OP.name, ...namePath(path), ...value];
}

/** Package() {…} of at most 255 elements. */
export function packageOf(...elements: readonly Aml[]): Aml {
  return [OP.package, ...withLength([...littleEndian(elements.length, 1), ...elements.flat()])];
}

/** Buffer() {…}. */
export function buffer(bytes: Aml): Aml {
  return [OP.buffer, ...withLength([...integer(bytes.length), ...bytes])];
}

/** Scope(path) {…}. */
export function scope(path: string, ...body: readonly Aml[]): Aml {
  return [OP.scope, ...withLength([...namePath(path), ...body.flat()])];
}

/** Device(path) {…}. */
export function device(path: string, ...body: readonly Aml[]): Aml {
  return [OP.extended, OP.device, ...withLength([...namePath(path), ...body.flat()])];
}

/** Method(path, args) {…}, not serialized. */
export function method(path: string, args: number, ...body: readonly Aml[]): Aml {
  return [OP.method, ...withLength([...namePath(path), args & 7, ...body.flat()])];
}

/** ArgN inside a method. */
export function argument(index: number): Aml {
  return [OP.arg0 + index];
}

/** Store(value, target). */
export function store(value: Aml, target: Aml): Aml {
  return [OP.store, ...value, ...target];
}

/** If(condition) {…}. */
export function ifThen(condition: Aml, ...body: readonly Aml[]): Aml {
  return [OP.if, ...withLength([...condition, ...body.flat()])];
}

/** Return(value). */
export function returns(value: Aml): Aml {
  return [OP.return, ...value];
}

/** Prefixes a body with its PkgLength, which counts itself (20.2.4). */
function withLength(body: Aml): Aml {
  const short = body.length + 1;
  if (short < 0x40) return [short, ...body];
  for (let extra = 1; extra <= 3; extra++) {
    const length = body.length + 1 + extra;
    if (length >= 2 ** (4 + 8 * extra)) continue;
    return [(extra << 6) | (length & 0xf), ...littleEndian(length >>> 4, extra), ...body];
  }
  throw bad("a definition is too long");
}

/** The codes of a text of ASCII characters. */
export function ascii(text: string): number[] {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}
