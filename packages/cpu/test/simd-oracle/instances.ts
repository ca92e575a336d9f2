/** Random instances of every vector instruction, biased to the edges where implementations differ. */
import { BASE_RIP } from "../../src/decode/instruction.ts";
import { encodableForms, encode, operandSizes } from "../../src/isa/testing/encode.ts";
import type { EncodedInstruction } from "../../src/isa/testing/encode.ts";
import type { Feature } from "../../src/isa/features.ts";
import type { OpcodeEntry } from "../../src/isa/opcode-entry.ts";
import { OPCODES } from "../../src/isa/opcodes.ts";
import type { Random } from "../float-oracle/operands.ts";
import {
  f32Near,
  f32Operand,
  f64Near,
  f64Operand,
  integerOperand,
  mxcsrOperand,
} from "../float-oracle/operands.ts";
import { Field, Fxsave, STATUS, WINDOW, WINDOW_BYTES } from "./layout.ts";

const FEATURES: ReadonlySet<Feature> = new Set<Feature>([
  "mmx",
  "sse",
  "sse2",
  "sse3",
  "ssse3",
  "sse41",
  "sse42",
  "popcnt",
  "clflushopt",
  "clwb",
]);

/** Every form of MMX and SSE to SSE4.2, and what came with them. */
export const VECTOR_ENTRIES: readonly OpcodeEntry[] = OPCODES.filter(
  ({ feature, mnemonic }) => FEATURES.has(feature) || mnemonic === "clflush",
);

/** What the manuals leave to the processor, by mnemonic. The emulated one does as AMD's Zen processors do. */
export const UNDEFINED: readonly { readonly mnemonics: RegExp; readonly open: string }[] = [
  {
    mnemonics: /^r(cp|sqrt)[ps]s$/,
    open: "the value: only a relative error below 1.5 * 2^-12 is promised",
  },
  {
    mnemonics: /^cvtt?(p[sd]2pi|pi2ps)$/,
    open: "whether the x87 registers have become MMX registers when the conversion faults: yes",
  },
  {
    mnemonics: /^maskmovq$/,
    open: "whether they have become MMX registers when the store faults: yes",
  },
  { mnemonics: /^emms$/, open: "TOP, which becomes 0" },
  { mnemonics: /^maskmov/, open: "faults on bytes that the mask leaves alone: they happen" },
];

/** Saving and restoring all state, and the x87's FISTTP, are compared elsewhere. */
const ELSEWHERE = /^(fx(save|rstor)|fisttp)/;

/** One way to execute an entry. */
export interface Variant {
  readonly name: string;
  readonly entry: OpcodeEntry;
  readonly form: "reg" | "mem" | "none";
  readonly operandSize: 16 | 32 | 64;
}

/** Entries by form and operand size. */
export const VARIANTS: readonly Variant[] = VECTOR_ENTRIES.filter(
  ({ mnemonic }) => !ELSEWHERE.test(mnemonic),
).flatMap((entry) =>
  encodableForms(entry).flatMap((form) =>
    operandSizes(entry, 64).map((operandSize) => ({
      name: `${entry.text} ${form} ${operandSize}`,
      entry,
      form,
      operandSize,
    })),
  ),
);

const RSP = 4;
const RDI = 7;

/** Encodes an instance that leaves RSP alone, and says what its base and index registers have to hold. */
function encodeInstance({ entry, form, operandSize }: Variant, random: Random): EncodedInstruction {
  const word = (): number => random.word();
  for (;;) {
    const memory =
      form === "mem"
        ? {
            base: random.pick([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
            index: -1,
            scale: 0,
            disp: random.pick([0, 0, 8, -16, 100, 4096]),
          }
        : undefined;
    const instance = encode(
      entry,
      {
        mode: 64,
        operandSize,
        ...(form === "none" ? {} : { form }),
        ...(memory === undefined ? {} : { memory }),
        ...(random.below(4) === 0 ? { immediate: BigInt(random.below(20)) } : {}),
      },
      word,
    );
    const uses = (kinds: RegExp): boolean => entry.operands.some(({ kind }) => kinds.test(kind));
    const touchesStack =
      (instance.reg === RSP && uses(/^reg$/)) ||
      (form === "reg" && instance.rm === RSP && uses(/^rm/));
    if (!touchesStack && instance.memory?.base !== BASE_RIP) return instance;
  }
}

/** 128 bits of one of the kinds of content that instructions look at. */
function fillVector(view: DataView, at: number, kind: number, random: Random): void {
  const least = random.below(2) === 0 ? 0 : -1000000;
  for (let i = 0; i < 4; i++) {
    const place = at + 4 * i;
    switch (kind) {
      case 0:
        view.setUint32(place, f32Operand(random), true);
        break;
      case 1:
        if ((i & 1) === 0) view.setBigUint64(place, f64Operand(random), true);
        break;
      case 2:
        for (let j = 0; j < 4; j++) {
          view.setUint8(place + j, random.pick([0, 1, 0x7f, 0x80, 0x81, 0xff, random.below(256)]));
        }
        break;
      case 3:
        for (let j = 0; j < 4; j += 2) {
          view.setUint16(
            place + j,
            random.pick([0, 1, 0x7fff, 0x8000, 0xffff, random.below(65536), random.below(300)]),
            true,
          );
        }
        break;
      case 4:
        view.setUint32(place, random.pick([0, 1, 0x7fffffff, 0x80000000, random.word()]), true);
        break;
      case 5:
        // Text, with terminators.
        for (let j = 0; j < 4; j++)
          view.setUint8(place + j, random.pick([97, 98, 99, 0x7a, 0, 97]));
        break;
      case 6:
        if ((i & 1) === 0) view.setBigUint64(place, integerOperand(random), true);
        break;
      // Numbers without surprises: what the fast paths are for.
      case 7: {
        const value = (least + random.below(1000001)) / random.pick([1, 2, 8, 3, 1000]);
        view.setFloat32(place, value, true);
        break;
      }
      case 8:
        if ((i & 1) === 0) {
          const value = (least * 1000 + random.word()) / random.pick([1, 4, 65536, 3, 1e9]);
          view.setFloat64(place, value, true);
        }
        break;
      // Doubles about the limits of narrower formats.
      case 9:
        if ((i & 1) === 0) {
          const exponent =
            1023 + random.pick([-150, -149, -127, -126, -125, 127, 128, 30, 31, 62, 63]);
          const fraction = BigInt.asUintN(
            52,
            random.pick([0n, -1n, -1n << 28n, -1n << 29n, random.long()]),
          );
          const sign = BigInt(random.below(2)) << 63n;
          view.setBigUint64(place, sign | (BigInt(exponent) << 52n) | fraction, true);
        }
        break;
      default:
        view.setUint32(place, random.word(), true);
    }
  }
}

const KINDS = 11;

/** An operand with which products or quotients of `value` come to the edges of a format's exponents. */
function complement(value: bigint, width: 32 | 64, random: Random): bigint {
  const bits = width === 32 ? 23 : 52;
  const [bias, most] = width === 32 ? [127, 254] : [1023, 2046];
  const exponent = Number(value >> BigInt(bits)) & (2 * bias + 1);
  const target = random.pick([0, 0, 1, -1, 2, -bits, most, most + 1]);
  const wanted = random.below(2) === 0 ? bias + target - exponent : exponent + bias - target;
  const kept = BigInt(Math.min(most, Math.max(1, wanted))) << BigInt(bits);
  return kept | BigInt.asUintN(bits, random.pick([0n, 0n, -1n, 1n, random.long()]));
}

/**
 * Makes one vector close to another, element by element, so that sums cancel and comparisons tie, or such that
 * products and quotients overflow and underflow narrowly.
 */
function near(view: DataView, from: number, to: number, kind: number, random: Random): void {
  if (random.below(4) === 0) {
    const double = kind === 1 || kind === 8;
    for (let i = 0; i < 16; i += double ? 8 : 4) {
      if (double) {
        const value = view.getBigUint64(from + i, true);
        view.setBigUint64(to + i, complement(value, 64, random), true);
      } else {
        const value = BigInt(view.getUint32(from + i, true));
        view.setUint32(to + i, Number(complement(value, 32, random)), true);
      }
    }
    return;
  }
  for (let i = 0; i < 16; i += 8) {
    if (kind === 1 || kind === 8) {
      view.setBigUint64(to + i, f64Near(random, view.getBigUint64(from + i, true)), true);
    } else {
      for (const j of [i, i + 4]) {
        view.setUint32(to + j, f32Near(random, view.getUint32(from + j, true)), true);
      }
    }
  }
}

function mxcsr(random: Random): number {
  const plain = 0x1f80 | (random.below(6) === 0 ? 0 : 0x20);
  const flush = random.below(8) === 0 ? random.pick([0x40, 0x8000, 0x8040]) : 0;
  if (random.below(2) === 0) return plain | flush;
  return mxcsrOperand(random) | (random.below(2) === 0 ? random.below(64) : 0);
}

/** The kind of content that most suits an instruction. */
function preferredKinds({ mnemonic }: OpcodeEntry): readonly number[] {
  if (/^pcmp.str/.test(mnemonic)) return [5, 5, 5, 2, 3];
  if (/(pd|sd)2|ddup$/.test(mnemonic)) return [1, 8, 8, 9];
  if (/(ps|ss)2|s[lh]dup$/.test(mnemonic)) return [0, 7, 7];
  if (/(pd|sd)$/.test(mnemonic)) return [1, 8, 8];
  if (/(ps|ss)$/.test(mnemonic)) return [0, 7, 7];
  return [2, 3, 4, 6];
}

/** Writes the state before a random execution of a variant. */
export function writeInstance(variant: Variant, bytes: Uint8Array, random: Random): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, Field.RecordLength);
  bytes.fill(0);
  const instance = encodeInstance(variant, random);
  const { entry } = variant;
  bytes.set(instance.bytes, Field.Code);
  view.setUint8(Field.Length, instance.bytes.length);
  view.setBigUint64(Field.Flags, random.long() & STATUS, true);
  for (let i = 0; i < 16; i++) {
    const small = BigInt.asUintN(64, BigInt(random.below(41) - 20));
    const value = random.below(3) === 0 ? small : integerOperand(random);
    view.setBigUint64(Field.Registers + 8 * i, value, true);
  }
  const preferred = preferredKinds(entry);
  const kind = random.below(3) === 0 ? random.below(KINDS) : random.pick(preferred);
  const xmm = Field.Vectors + Fxsave.Xmm;
  for (let i = 0; i < 16; i++) fillVector(view, xmm + 16 * i, kind, random);
  for (let at = 0; at < WINDOW_BYTES; at += 16) fillVector(view, Field.Memory + at, kind, random);
  if (random.below(2) === 0 && variant.form !== "none") {
    const destination = xmm + 16 * instance.reg;
    if (variant.form === "reg") near(view, destination, xmm + 16 * instance.rm, kind, random);
    else {
      for (let at = 0; at < WINDOW_BYTES; at += 16) {
        near(view, destination, Field.Memory + at, kind, random);
      }
    }
  }
  // Shift counts are small, or all shift everything out.
  if (/^ps(ll|rl|ra)/.test(entry.mnemonic) && random.below(4) !== 0) {
    const count = BigInt(random.pick([random.below(70), random.below(20)]));
    const at = variant.form === "reg" ? xmm + 16 * instance.rm : Field.Memory;
    view.setBigUint64(at, count, true);
    for (let i = 8; i < WINDOW_BYTES && variant.form === "mem"; i += 8) {
      view.setBigUint64(Field.Memory + i, count, true);
    }
  }
  for (let i = 0; i < 8; i++) {
    fillVector(view, Field.Vectors + Fxsave.St + 16 * i, kind, random);
    // An MMX register, a number, or anything.
    const exponent = random.pick([0xffff, 0x3fff, random.below(65536)]);
    view.setUint16(Field.Vectors + Fxsave.St + 16 * i + 8, exponent, true);
    bytes.fill(0, Field.Vectors + Fxsave.St + 16 * i + 10, Field.Vectors + Fxsave.St + 16 * i + 16);
  }
  const pending = random.below(25) === 0;
  view.setUint16(Field.Vectors + Fxsave.Control, pending ? 0x37e : 0x37f, true);
  const exceptions = pending ? 0x8081 : random.below(64);
  view.setUint16(Field.Vectors + Fxsave.Status, exceptions | (random.below(8) << 11), true);
  view.setUint8(Field.Vectors + Fxsave.Tags, random.below(256));
  view.setUint32(Field.Vectors + Fxsave.Mxcsr, mxcsr(random), true);
  if (instance.memory !== undefined) {
    const { base, disp } = instance.memory;
    const anywhere = random.below(8) === 0 && entry.mnemonic !== "ldmxcsr";
    const offset = anywhere ? random.below(49) : 16 * random.below(4);
    view.setBigUint64(
      Field.Registers + 8 * base,
      BigInt.asUintN(64, BigInt(WINDOW + offset - disp)),
      true,
    );
  }
  if (entry.mnemonic.startsWith("maskmov")) {
    view.setBigUint64(Field.Registers + 8 * RDI, BigInt(WINDOW + random.below(49)), true);
  }
  if (entry.mnemonic === "ldmxcsr") {
    // Mostly what can be loaded; never AMD's misaligned mode.
    const reserved = random.below(4) === 0 ? 0xfffdffff : 0xffff;
    for (let at = 0; at < WINDOW_BYTES; at += 1) {
      const byte = (reserved >>> (8 * (at & 3))) & 0xff;
      bytes[Field.Memory + at] = (bytes[Field.Memory + at] as number) & byte;
    }
  }
}
