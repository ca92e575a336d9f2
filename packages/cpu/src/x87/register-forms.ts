/** D9 C0–FF and the other instructions on registers alone. */
import { f80Extract, f80Scale } from "../float/scale.ts";
import { F80, f80 } from "../float/format.ts";
import { f80Remainder } from "../float/remainder.ts";
import { Rounding } from "../float/status.ts";
import type { FloatStatus } from "../float/status.ts";
import { f80Exponential, f80LogarithmPlusOneTimes, f80LogarithmTimes } from "../float/logarithm.ts";
import { f80ArcTangent, f80Cosine, f80Sine, f80Tangent } from "../float/trigonometric.ts";
import { f80Round, f80SquareRoot } from "../float/x87.ts";
import { CONDITION_CODES, Status } from "./registers.ts";
import type { RegisterStack } from "./stack.ts";

const INTEGER_BIT = 1n << 63n;
const ONE = f80(0, 0x3fff, INTEGER_BIT);

/** Significand rounded towards zero, its exponent, and whether nearest (or up) is one more. */
const CONSTANTS: readonly {
  biased: number;
  truncated: bigint;
  nearestUp: boolean;
  exact?: boolean;
}[] = [
  { biased: 0x3fff, truncated: INTEGER_BIT, nearestUp: false, exact: true },
  { biased: 0x4000, truncated: 0xd49a784bcd1b8afen, nearestUp: false },
  { biased: 0x3fff, truncated: 0xb8aa3b295c17f0bbn, nearestUp: true },
  { biased: 0x4000, truncated: 0xc90fdaa22168c234n, nearestUp: true },
  { biased: 0x3ffd, truncated: 0x9a209a84fbcff798n, nearestUp: true },
  { biased: 0x3ffe, truncated: 0xb17217f7d1cf79abn, nearestUp: true },
  { biased: 0, truncated: 0n, nearestUp: false, exact: true },
];

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ by the low three ModRM bits. */
export function loadConstant(stack: RegisterStack, index: number): void {
  const constant = CONSTANTS[index];
  if (constant === undefined) return;
  stack.begin();
  stack.loadAndPush(({ rounding }) => {
    const up =
      constant.exact !== true &&
      (rounding === Rounding.up || (rounding === Rounding.nearest && constant.nearestUp));
    return f80(0, constant.biased, constant.truncated + (up ? 1n : 0n));
  });
  stack.end();
}

/** FLD ST(i). */
export function loadRegister(stack: RegisterStack, index: number): void {
  stack.begin();
  if (stack.isEmpty(index) || !stack.isEmpty(7)) {
    if (stack.fault(!stack.isEmpty(index))) stack.push(F80.indefinite);
  } else stack.push(stack.get(index));
  stack.end();
}

/** FST ST(i), FSTP ST(i). */
export function storeRegister(stack: RegisterStack, index: number, pop: boolean): void {
  stack.begin();
  if (!stack.isEmpty(0)) {
    stack.set(index, stack.get(0));
    if (pop) stack.pop();
  } else if (stack.fault(false)) {
    stack.set(index, F80.indefinite);
    if (pop) stack.pop();
  }
  stack.end();
}

/** FXCH. */
export function exchange(stack: RegisterStack, index: number): void {
  stack.begin();
  if (stack.isEmpty(0) || stack.isEmpty(index)) {
    if (stack.fault(false)) {
      const top = stack.isEmpty(0) ? F80.indefinite : stack.get(0);
      const other = stack.isEmpty(index) ? F80.indefinite : stack.get(index);
      stack.set(0, other);
      stack.set(index, top);
    }
  } else {
    const value = stack.get(0);
    stack.set(0, stack.get(index));
    stack.set(index, value);
  }
  stack.end();
}

/** FCMOVcc. */
export function moveIf(stack: RegisterStack, index: number, condition: boolean): void {
  stack.beginKeepingC1();
  if (stack.isEmpty(0) || stack.isEmpty(index)) {
    if (stack.fault(false)) stack.set(0, F80.indefinite);
  } else if (condition) stack.set(0, stack.get(index));
  stack.end();
}

/** FXAM: class in C3, C2, C0 and sign in C1, of empty registers too. */
export function examine(stack: RegisterStack): void {
  const value = stack.get(0);
  const biased = value.signExponent & 0x7fff;
  let codes: number;
  if (stack.isEmpty(0)) codes = Status.c3 | Status.c0;
  else if (biased === 0) codes = value.significand === 0n ? Status.c3 : Status.c3 | Status.c2;
  else if (value.significand < INTEGER_BIT) codes = 0;
  else if (biased !== 0x7fff) codes = Status.c2;
  else codes = value.significand === INTEGER_BIT ? Status.c2 | Status.c0 : Status.c0;
  if (value.signExponent & 0x8000) codes |= Status.c1;
  const { registers } = stack;
  registers.statusWord = (registers.statusWord & ~CONDITION_CODES) | codes;
}

/** FCHS (`flip`) and FABS. */
export function changeSign(stack: RegisterStack, flip: boolean): void {
  unary(stack, ({ significand, signExponent }) => ({
    significand,
    signExponent: flip ? signExponent ^ 0x8000 : signExponent & 0x7fff,
  }));
}

function unary(stack: RegisterStack, operation: (a: F80, status: FloatStatus) => F80): void {
  stack.begin();
  if (stack.isEmpty(0)) {
    if (stack.fault(false)) stack.set(0, F80.indefinite);
  } else {
    const value = operation(stack.get(0), stack.float);
    if (!stack.suppressed) stack.set(0, value);
  }
  stack.end();
}

/** ST(1) = operation(ST(0), ST(1)), and pop. */
function intoNext(
  stack: RegisterStack,
  operation: (a: F80, b: F80, status: FloatStatus) => F80,
): void {
  stack.begin();
  if (stack.isEmpty(0) || stack.isEmpty(1)) {
    if (stack.fault(false)) {
      stack.set(1, F80.indefinite);
      stack.pop();
    }
  } else {
    const value = operation(stack.get(0), stack.get(1), stack.float);
    if (!stack.suppressed) {
      stack.set(1, value);
      stack.pop();
    }
  }
  stack.end();
}

/** FPREM and FPREM1: without a result C0 and C3 stay, C2 never does. */
function remainder(stack: RegisterStack, nearest: boolean): void {
  stack.begin();
  const { registers } = stack;
  registers.statusWord &= ~Status.c2;
  if (stack.isEmpty(0) || stack.isEmpty(1)) {
    if (stack.fault(false)) stack.set(0, F80.indefinite);
  } else {
    const { value, quotient, partial } = f80Remainder(
      stack.get(0),
      stack.get(1),
      nearest,
      stack.float,
    );
    if (!stack.suppressed) stack.set(0, value);
    if (partial) stack.setCodes(Status.c2);
    if (quotient !== undefined) {
      stack.setCodes((quotient & 4 ? Status.c0 : 0) | (quotient & 2 ? Status.c3 : 0));
      stack.float.roundedUp = (quotient & 1) !== 0;
    }
  }
  stack.end();
}

/** FXTRACT. */
function extract(stack: RegisterStack): void {
  stack.begin();
  if (stack.isEmpty(0) || !stack.isEmpty(7)) {
    if (stack.fault(!stack.isEmpty(0))) {
      stack.set(0, F80.indefinite);
      stack.push(F80.indefinite);
    }
  } else {
    const parts = f80Extract(stack.get(0), stack.float);
    if (!stack.suppressed) {
      stack.set(0, parts.exponent);
      stack.push(parts.significand);
    }
  }
  stack.end();
}

/** FSIN and FCOS: C2 for an operand out of range, which stays. */
function trigonometric(
  stack: RegisterStack,
  operation: (a: F80, status: FloatStatus) => F80 | undefined,
): void {
  stack.begin();
  stack.registers.statusWord &= ~Status.c2;
  if (stack.isEmpty(0)) {
    if (stack.fault(false)) stack.set(0, F80.indefinite);
  } else {
    const value = operation(stack.get(0), stack.float);
    if (value === undefined) stack.registers.statusWord |= Status.c2;
    else if (!stack.suppressed) stack.set(0, value);
  }
  stack.end();
}

/** FPTAN and FSINCOS: the first result replaces ST(0), the second is pushed. */
function trigonometricPair(
  stack: RegisterStack,
  first: (a: F80, status: FloatStatus) => F80 | undefined,
  second: (a: F80, status: FloatStatus, first: F80) => F80 | undefined,
): void {
  stack.begin();
  stack.registers.statusWord &= ~Status.c2;
  if (stack.isEmpty(0) || !stack.isEmpty(7)) {
    if (stack.fault(!stack.isEmpty(0))) {
      stack.set(0, F80.indefinite);
      stack.push(F80.indefinite);
    }
    stack.end();
    return;
  }
  const operand = stack.get(0);
  const value = first(operand, stack.float);
  // C1 tells of the first result.
  const { roundedUp } = stack.float;
  const other = value && second(operand, stack.float, value);
  stack.float.roundedUp = roundedUp;
  if (value === undefined || other === undefined) stack.registers.statusWord |= Status.c2;
  else if (!stack.suppressed) {
    stack.set(0, value);
    stack.push(other);
  }
  stack.end();
}

/** FPTAN pushes 1, or the NaN that it returns. */
function tangentCompanion(_operand: F80, _status: FloatStatus, tangent: F80): F80 {
  return (tangent.signExponent & 0x7fff) === 0x7fff ? tangent : ONE;
}

/** FFREE, and FFREEP, which also pops. */
export function free(stack: RegisterStack, index: number, pop: boolean): void {
  stack.begin();
  stack.free(index);
  if (pop) stack.pop();
}

/** FINCSTP and FDECSTP. */
export function rotate(stack: RegisterStack, by: number): void {
  stack.begin();
  stack.top += by;
}

/** D9 F0–FF by the low four ModRM bits. */
export const TRANSCENDENTAL_FORMS: readonly ((stack: RegisterStack) => void)[] = [
  (stack) => unary(stack, f80Exponential),
  (stack) => intoNext(stack, (a, b, status) => f80LogarithmTimes(b, a, status)),
  (stack) => trigonometricPair(stack, f80Tangent, tangentCompanion),
  (stack) => intoNext(stack, (a, b, status) => f80ArcTangent(b, a, status)),
  extract,
  (stack) => remainder(stack, true),
  (stack) => rotate(stack, -1),
  (stack) => rotate(stack, 1),
  (stack) => remainder(stack, false),
  (stack) => intoNext(stack, (a, b, status) => f80LogarithmPlusOneTimes(b, a, status)),
  (stack) => unary(stack, f80SquareRoot),
  (stack) => trigonometricPair(stack, f80Sine, f80Cosine),
  (stack) => unary(stack, f80Round),
  scale,
  (stack) => trigonometric(stack, f80Sine),
  (stack) => trigonometric(stack, f80Cosine),
];

/** FSCALE. */
function scale(stack: RegisterStack): void {
  stack.begin();
  if (stack.isEmpty(0) || stack.isEmpty(1)) {
    if (stack.fault(false)) stack.set(0, F80.indefinite);
  } else {
    const value = f80Scale(stack.get(0), stack.get(1), stack.float);
    if (!stack.suppressed) stack.set(0, value);
  }
  stack.end();
}
