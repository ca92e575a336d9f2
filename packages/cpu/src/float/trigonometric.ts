/** FSIN, FCOS, FPTAN and FPATAN. */
import { bitLength, integerSquareRoot, powerOfTwo, shiftCount } from "./bits.ts";
import { F80, Kind, f80 } from "./format.ts";
import type { Unpacked } from "./format.ts";
import { round } from "./round.ts";
import { FRACTION, PI, UNIT, arcTangentFactor, cosine, sineFactor, times } from "./series.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** π as the x87 knows it for argument reduction: 66 bits, 64 of them fraction (SDM vol. 1, 8.3.8). */
const PI_66 = 0x3243f6a8885a308d3n;
/** The units of a quarter turn, π_66 / 2, are 2^-65. */
const QUARTER_EXPONENT = -65;

/** An angle reduced to at most an eighth of a turn: `significand * 2 ** exponent`, exact, in the given quadrant. */
interface Reduced {
  readonly quadrant: number;
  readonly sign: number;
  readonly significand: bigint;
  readonly exponent: number;
}

/** An approximation, never exact. */
interface Approximate {
  readonly sign: number;
  readonly significand: bigint;
  readonly exponent: number;
}

function reduce(x: Unpacked): Reduced {
  if (x.exponent + bitLength(x.significand) < -1) return { quadrant: 0, ...x };
  const exponent = Math.min(x.exponent, QUARTER_EXPONENT);
  const angle = x.significand << shiftCount(x.exponent - exponent);
  const quarter = PI_66 << shiftCount(QUARTER_EXPONENT - exponent);
  const turns = ((angle << 1n) + quarter) / (quarter << 1n);
  let rest = angle - turns * quarter;
  let { sign } = x;
  let quadrant = Number(turns & 3n);
  if (sign === 1) quadrant = -quadrant & 3;
  if (rest < 0n) {
    rest = -rest;
    sign ^= 1;
  }
  return { quadrant, sign, significand: rest, exponent };
}

/** The square of the angle in fixed point. */
function squared({ significand, exponent }: Reduced): bigint {
  const drop = -2 * exponent - FRACTION;
  const square = significand * significand;
  if (drop <= 0) return square << shiftCount(-drop);
  return drop > 1000 ? 0n : square >> shiftCount(drop);
}

function sineOf(angle: Reduced, square: bigint): Approximate {
  const factor = sineFactor(square);
  return {
    sign: angle.sign,
    significand: angle.significand * factor,
    exponent: angle.exponent - FRACTION,
  };
}

function cosineOf(square: bigint): Approximate {
  return { sign: 0, significand: cosine(square), exponent: -FRACTION };
}

function finish(status: FloatStatus, { sign, significand, exponent }: Approximate): F80 {
  return round(F80, status, sign, (significand << 1n) | 1n, exponent - 1);
}

const ONE = f80(0, F80.bias, 1n << 63n);

/** Handles what is common to the three: `undefined` when the angle is out of range, a value for special operands, or the unpacked angle. */
function operand(
  a: F80,
  status: FloatStatus,
  atZero: (sign: number) => F80,
): F80 | Unpacked | undefined {
  status.roundedUp = false;
  const x = F80.unpack(a, status);
  if (x.kind >= Kind.quietNaN) return F80.propagate(status, a, a, x, x);
  if (x.kind === Kind.infinity) {
    raise(status, Exception.invalid);
    return F80.indefinite;
  }
  if (x.kind === Kind.zero) return atZero(x.sign);
  if (x.exponent + bitLength(x.significand) > 63) return undefined;
  if (x.denormal && raise(status, Exception.denormal)) return F80.indefinite;
  return x;
}

/** FSIN; undefined for magnitudes of 2^63 and more. */
export function f80Sine(a: F80, status: FloatStatus): F80 | undefined {
  const x = operand(a, status, (sign) => F80.zero(sign));
  if (x === undefined || !("kind" in x)) return x;
  const angle = reduce(x);
  const square = squared(angle);
  const result = angle.quadrant & 1 ? cosineOf(square) : sineOf(angle, square);
  const sign = result.sign ^ (angle.quadrant >> 1);
  return finish(status, { ...result, sign });
}

/** FCOS; undefined for magnitudes of 2^63 and more. */
export function f80Cosine(a: F80, status: FloatStatus): F80 | undefined {
  const x = operand(a, status, () => ONE);
  if (x === undefined || !("kind" in x)) return x;
  const angle = reduce(x);
  const square = squared(angle);
  const result = angle.quadrant & 1 ? sineOf(angle, square) : cosineOf(square);
  const sign = result.sign ^ (((angle.quadrant + 1) >> 1) & 1);
  return finish(status, { ...result, sign });
}

/** FPTAN; undefined for magnitudes of 2^63 and more. */
export function f80Tangent(a: F80, status: FloatStatus): F80 | undefined {
  const x = operand(a, status, (sign) => F80.zero(sign));
  if (x === undefined || !("kind" in x)) return x;
  const angle = reduce(x);
  const square = squared(angle);
  const turned = (angle.quadrant & 1) !== 0;
  const numerator = turned ? cosine(square) : sineFactor(square);
  const denominator = turned ? sineFactor(square) : cosine(square);
  let ratio = (numerator << BigInt(FRACTION)) / denominator;
  // Above one even where the digits do not show it.
  if (!turned && ratio <= UNIT) ratio = UNIT + 1n;
  if (!turned) {
    return finish(status, {
      sign: angle.sign,
      significand: angle.significand * ratio,
      exponent: angle.exponent - FRACTION,
    });
  }
  const shift = bitLength(angle.significand) + 80;
  return finish(status, {
    sign: angle.sign ^ 1,
    significand: (ratio << shiftCount(shift)) / angle.significand,
    exponent: -FRACTION - shift - angle.exponent,
  });
}

/** atan(small / large) for magnitudes with small <= large, as a fraction of its own exponent. */
function arcTangent(small: Unpacked, large: Unpacked): Approximate {
  // The quotient with FRACTION significant bits or one more.
  const shift = FRACTION + bitLength(large.significand) - bitLength(small.significand);
  const quotient =
    shift >= 0
      ? (small.significand << shiftCount(shift)) / large.significand
      : small.significand / (large.significand << shiftCount(-shift));
  const exponent = small.exponent - large.exponent - shift;
  const down = -exponent - FRACTION;
  if (down > 12) {
    const square = down > 200 ? 0n : (quotient * quotient) >> shiftCount(FRACTION + 2 * down);
    const factor = arcTangentFactor(square);
    return { sign: 0, significand: quotient * factor, exponent: exponent - FRACTION };
  }
  let t = down >= 0 ? quotient >> shiftCount(down) : quotient << shiftCount(-down);
  // Halve the angle until the series is short: tan(a/2) = t / (1 + sqrt(1 + t²)).
  let doublings = 0;
  while (t > UNIT >> 4n) {
    const root = integerSquareRoot((UNIT + times(t, t)) << BigInt(FRACTION));
    t = (t << BigInt(FRACTION)) / (UNIT + root);
    doublings++;
  }
  const value = times(t, arcTangentFactor(times(t, t)));
  return { sign: 0, significand: value << BigInt(doublings), exponent: -FRACTION };
}

/** Fixed-point value of an approximation, truncated. */
function fixed({ significand, exponent }: Approximate): bigint {
  const drop = -exponent - FRACTION;
  if (drop <= 0) return significand << shiftCount(-drop);
  return drop > 1000 ? 0n : significand >> shiftCount(drop);
}

/** FPATAN: the angle of the point (x, y), in all four quadrants. */
export function f80ArcTangent(y: F80, x: F80, status: FloatStatus): F80 {
  status.roundedUp = false;
  const v = F80.unpack(y, status);
  const u = F80.unpack(x, status);
  if (v.kind >= Kind.quietNaN || u.kind >= Kind.quietNaN) return F80.propagate(status, x, y, u, v);
  if ((v.denormal || u.denormal) && raise(status, Exception.denormal)) return F80.indefinite;
  const angle = (multiple: bigint, shift: number): F80 =>
    finish(status, { sign: v.sign, significand: PI * multiple, exponent: -FRACTION - shift });
  if (v.kind === Kind.infinity) {
    if (u.kind !== Kind.infinity) return angle(1n, 1);
    return u.sign ? angle(3n, 2) : angle(1n, 2);
  }
  if (v.kind === Kind.zero || u.kind === Kind.infinity)
    return u.sign ? angle(1n, 0) : F80.zero(v.sign);
  if (u.kind === Kind.zero) return angle(1n, 1);
  const steep = compareMagnitudes(v, u) > 0;
  const base = steep ? arcTangent(u, v) : arcTangent(v, u);
  if (!steep && u.sign === 0) return finish(status, { ...base, sign: v.sign });
  let value = fixed(base);
  if (steep) value = u.sign ? (PI >> 1n) + value : (PI >> 1n) - value;
  else value = PI - value;
  return finish(status, { sign: v.sign, significand: value, exponent: -FRACTION });
}

function compareMagnitudes(a: Unpacked, b: Unpacked): number {
  const top = a.exponent + bitLength(a.significand) - (b.exponent + bitLength(b.significand));
  if (top !== 0) return top;
  const distance = a.exponent - b.exponent;
  const left = distance > 0 ? a.significand * powerOfTwo(distance) : a.significand;
  const right = distance < 0 ? b.significand * powerOfTwo(-distance) : b.significand;
  if (left === right) return 0;
  return left > right ? 1 : -1;
}
