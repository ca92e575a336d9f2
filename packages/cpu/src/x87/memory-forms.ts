/** Loads and stores of every format. */
import { f80FromDecimal, f80ToDecimal, storeDecimalIndefinite } from "../float/decimal.ts";
import { F32, F64, F80 } from "../float/format.ts";
import {
  f80FromF32,
  f80FromF64,
  f80FromInteger,
  f80ToF32,
  f80ToF64,
  f80ToInteger,
  f80WidenF32,
  f80WidenF64,
} from "../float/x87.ts";
import type { FloatStatus } from "../float/status.ts";
import { Exception } from "../float/status.ts";
import type { RegisterStack } from "./stack.ts";

/** Integer widths of opcodes DA/DB (32), DE/DF (16) and the m64 forms. */
type Width = 16 | 32 | 64;

/** A format in memory: how it is read, written, and what stands for no value. */
export interface MemoryFormat {
  readonly read: (bytes: DataView, status: FloatStatus) => F80;
  /** As {@link read}, for an operand of arithmetic: exceptions are left to the operation. */
  readonly readOperand?: (bytes: DataView, status: FloatStatus) => F80;
  readonly write: (bytes: DataView, value: F80, status: FloatStatus) => void;
  readonly indefinite: (bytes: DataView) => void;
}

function putInteger(bytes: DataView, value: bigint, width: Width): void {
  if (width === 64) bytes.setBigInt64(0, value, true);
  else if (width === 32) bytes.setInt32(0, Number(value), true);
  else bytes.setInt16(0, Number(value), true);
}

function integerFormat(width: Width, truncate: boolean): MemoryFormat {
  return {
    read(bytes, status) {
      if (width === 64) return f80FromInteger(bytes.getBigInt64(0, true), status);
      return f80FromInteger(
        BigInt(width === 32 ? bytes.getInt32(0, true) : bytes.getInt16(0, true)),
        status,
      );
    },
    write: (bytes, value, status) =>
      putInteger(bytes, f80ToInteger(value, width, truncate, status), width),
    indefinite: (bytes) => putInteger(bytes, -(1n << BigInt(width - 1)), width),
  };
}

export const SINGLE: MemoryFormat = {
  read: (bytes, status) => f80FromF32(bytes.getUint32(0, true), status),
  readOperand: (bytes, status) => f80WidenF32(bytes.getUint32(0, true), status),
  write: (bytes, value, status) => bytes.setUint32(0, f80ToF32(value, status), true),
  indefinite: (bytes) => bytes.setUint32(0, F32.indefinite, true),
};

export const DOUBLE: MemoryFormat = {
  read: (bytes, status) => f80FromF64(bytes.getBigUint64(0, true), status),
  readOperand: (bytes, status) => f80WidenF64(bytes.getBigUint64(0, true), status),
  write: (bytes, value, status) => bytes.setBigUint64(0, f80ToF64(value, status), true),
  indefinite: (bytes) => bytes.setBigUint64(0, F64.indefinite, true),
};

function putExtended(bytes: DataView, value: F80): void {
  bytes.setBigUint64(0, value.significand, true);
  bytes.setUint16(8, value.signExponent, true);
}

export const EXTENDED: MemoryFormat = {
  read: (bytes) => ({
    significand: bytes.getBigUint64(0, true),
    signExponent: bytes.getUint16(8, true),
  }),
  write: putExtended,
  indefinite: (bytes) => putExtended(bytes, F80.indefinite),
};

export const INTEGERS: Readonly<Record<Width, MemoryFormat>> = {
  16: integerFormat(16, false),
  32: integerFormat(32, false),
  64: integerFormat(64, false),
};

/** FISTTP. */
export const TRUNCATED: Readonly<Record<Width, MemoryFormat>> = {
  16: integerFormat(16, true),
  32: integerFormat(32, true),
  64: integerFormat(64, true),
};

export const DECIMAL: MemoryFormat = {
  read: f80FromDecimal,
  write: f80ToDecimal,
  indefinite: storeDecimalIndefinite,
};

/** FLD, FILD, FBLD. */
export function load(stack: RegisterStack, format: MemoryFormat, bytes: DataView): void {
  stack.begin();
  stack.loadAndPush((status) => format.read(bytes, status));
  stack.end();
}

/** FST, FIST, FBSTP and their popping forms; true when `bytes` are to be stored. */
export function store(
  stack: RegisterStack,
  format: MemoryFormat,
  bytes: DataView,
  pop: boolean,
): boolean {
  stack.begin();
  let stored: boolean;
  if (stack.isEmpty(0)) {
    stored = stack.fault(false);
    if (stored) format.indefinite(bytes);
  } else {
    format.write(bytes, stack.get(0), stack.float);
    stored = !stack.storeSuppressed;
    // A fault for the range hides the rounding.
    if (!stored) {
      stack.float.flags &= ~Exception.precision;
      stack.float.roundedUp = false;
    }
  }
  if (stored && pop) stack.pop();
  stack.end();
  return stored;
}
