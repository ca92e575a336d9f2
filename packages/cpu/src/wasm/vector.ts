import { memoryArgument, operation, valueTypeCode } from "./expression.ts";
import type { Expr, F32, F64, I32, I64, Place, V128, ValueType } from "./expression.ts";

/** A SIMD operation by its opcode after the 0xfd prefix (WebAssembly core 2.0, 5.4.8), with lane or shuffle immediates. */
export function simd<T extends ValueType>(
  type: T,
  opcode: number,
  operands: readonly Expr[],
  immediates: readonly number[] = [],
): Expr<T> {
  return operation(type, operands, (out) => {
    out.byte(0xfd);
    out.u32(opcode);
    for (const immediate of immediates) out.byte(immediate);
  });
}

const memory =
  (opcode: number) =>
  (address: Place, offset = 0): V128 => ({
    type: "v128",
    emit(out) {
      address.emit(out);
      out.byte(0xfd);
      out.u32(opcode);
      memoryArgument(out, address, offset);
    },
  });

const two =
  (opcode: number) =>
  (a: V128, b: V128): V128 =>
    simd("v128", opcode, [a, b]);

const one =
  (opcode: number) =>
  (a: V128): V128 =>
    simd("v128", opcode, [a]);

const shift =
  (opcode: number) =>
  (a: V128, count: I32): V128 =>
    simd("v128", opcode, [a, count]);

const toI32 =
  (opcode: number) =>
  (a: V128): I32 =>
    simd("i32", opcode, [a]);

/** `select` for vectors needs its type spelled out. */
export function selectV128(condition: I32, a: V128, b: V128): V128 {
  return operation("v128", [a, b, condition], (out) => {
    out.byte(0x1c);
    out.byte(1);
    out.byte(valueTypeCode.v128);
  });
}

/** 128-bit operations that do not care about lanes. */
export const v128 = {
  load: memory(0),
  load8x8_s: memory(1),
  load8x8_u: memory(2),
  load16x4_s: memory(3),
  load16x4_u: memory(4),
  load32x2_s: memory(5),
  load32x2_u: memory(6),
  load32_zero: memory(92),
  load64_zero: memory(93),
  const: (bytes: readonly number[]): V128 => simd("v128", 12, [], bytes),
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => simd("v128", 13, [a, b], lanes),
  swizzle: two(14),
  not: one(77),
  and: two(78),
  /** `a & ~b`. */
  andnot: two(79),
  or: two(80),
  xor: two(81),
  /** `a` where the mask has ones, `b` elsewhere. */
  bitselect: (a: V128, b: V128, mask: V128): V128 => simd("v128", 82, [a, b, mask]),
  any_true: toI32(83),
};

export const i8x16 = {
  splat: (a: I32): V128 => simd("v128", 15, [a]),
  extract_lane_u: (a: V128, lane: number): I32 => simd("i32", 22, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: I32): V128 => simd("v128", 23, [a, value], [lane]),
  eq: two(35),
  gt_s: two(39),
  abs: one(96),
  neg: one(97),
  popcnt: one(98),
  all_true: toI32(99),
  bitmask: toI32(100),
  narrow_i16x8_s: two(101),
  narrow_i16x8_u: two(102),
  shl: shift(107),
  shr_s: shift(108),
  shr_u: shift(109),
  add: two(110),
  add_sat_s: two(111),
  add_sat_u: two(112),
  sub: two(113),
  sub_sat_s: two(114),
  sub_sat_u: two(115),
  min_s: two(118),
  min_u: two(119),
  max_s: two(120),
  max_u: two(121),
  avgr_u: two(123),
};

export const i16x8 = {
  splat: (a: I32): V128 => simd("v128", 16, [a]),
  extract_lane_u: (a: V128, lane: number): I32 => simd("i32", 25, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: I32): V128 => simd("v128", 26, [a, value], [lane]),
  eq: two(45),
  gt_s: two(49),
  extadd_pairwise_i8x16_s: one(124),
  extadd_pairwise_i8x16_u: one(125),
  abs: one(128),
  neg: one(129),
  q15mulr_sat_s: two(130),
  bitmask: toI32(132),
  narrow_i32x4_s: two(133),
  narrow_i32x4_u: two(134),
  extend_low_i8x16_s: one(135),
  extend_high_i8x16_s: one(136),
  extend_low_i8x16_u: one(137),
  extend_high_i8x16_u: one(138),
  shl: shift(139),
  shr_s: shift(140),
  shr_u: shift(141),
  add: two(142),
  add_sat_s: two(143),
  add_sat_u: two(144),
  sub: two(145),
  sub_sat_s: two(146),
  sub_sat_u: two(147),
  mul: two(149),
  min_s: two(150),
  min_u: two(151),
  max_s: two(152),
  max_u: two(153),
  avgr_u: two(155),
  extmul_low_i8x16_s: two(156),
  extmul_high_i8x16_s: two(157),
  extmul_low_i8x16_u: two(158),
  extmul_high_i8x16_u: two(159),
  all_true: toI32(131),
};

export const i32x4 = {
  splat: (a: I32): V128 => simd("v128", 17, [a]),
  extract_lane: (a: V128, lane: number): I32 => simd("i32", 27, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: I32): V128 => simd("v128", 28, [a, value], [lane]),
  eq: two(55),
  gt_s: two(59),
  gt_u: two(60),
  extadd_pairwise_i16x8_s: one(126),
  extadd_pairwise_i16x8_u: one(127),
  abs: one(160),
  neg: one(161),
  bitmask: toI32(164),
  extend_low_i16x8_s: one(167),
  extend_high_i16x8_s: one(168),
  extend_low_i16x8_u: one(169),
  extend_high_i16x8_u: one(170),
  shl: shift(171),
  shr_s: shift(172),
  shr_u: shift(173),
  add: two(174),
  sub: two(177),
  mul: two(181),
  min_s: two(182),
  min_u: two(183),
  max_s: two(184),
  max_u: two(185),
  dot_i16x8_s: two(186),
  extmul_low_i16x8_s: two(188),
  extmul_high_i16x8_s: two(189),
  extmul_low_i16x8_u: two(190),
  extmul_high_i16x8_u: two(191),
  trunc_sat_f32x4_s: one(248),
  trunc_sat_f64x2_s_zero: one(252),
  all_true: toI32(163),
};

export const i64x2 = {
  splat: (a: I64): V128 => simd("v128", 18, [a]),
  extract_lane: (a: V128, lane: number): I64 => simd("i64", 29, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: I64): V128 => simd("v128", 30, [a, value], [lane]),
  abs: one(192),
  neg: one(193),
  bitmask: toI32(196),
  extend_low_i32x4_s: one(199),
  extend_high_i32x4_s: one(200),
  extend_low_i32x4_u: one(201),
  extend_high_i32x4_u: one(202),
  shl: shift(203),
  shr_s: shift(204),
  shr_u: shift(205),
  add: two(206),
  sub: two(209),
  mul: two(213),
  eq: two(214),
  gt_s: two(217),
  extmul_low_i32x4_s: two(220),
  extmul_high_i32x4_s: two(221),
  extmul_low_i32x4_u: two(222),
  extmul_high_i32x4_u: two(223),
  all_true: toI32(195),
};

export const f32x4 = {
  splat: (a: F32): V128 => simd("v128", 19, [a]),
  extract_lane: (a: V128, lane: number): F32 => simd("f32", 31, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: F32): V128 => simd("v128", 32, [a, value], [lane]),
  eq: two(65),
  ne: two(66),
  lt: two(67),
  gt: two(68),
  le: two(69),
  ge: two(70),
  abs: one(224),
  neg: one(225),
  sqrt: one(227),
  add: two(228),
  sub: two(229),
  mul: two(230),
  div: two(231),
  /** `b < a ? b : a`, and `a < b ? b : a`. */
  pmin: two(234),
  pmax: two(235),
  convert_i32x4_s: one(250),
  demote_f64x2_zero: one(94),
  ceil: one(103),
  floor: one(104),
  trunc: one(105),
  nearest: one(106),
};

export const f64x2 = {
  splat: (a: F64): V128 => simd("v128", 20, [a]),
  extract_lane: (a: V128, lane: number): F64 => simd("f64", 33, [a], [lane]),
  replace_lane: (a: V128, lane: number, value: F64): V128 => simd("v128", 34, [a, value], [lane]),
  eq: two(71),
  ne: two(72),
  lt: two(73),
  gt: two(74),
  le: two(75),
  ge: two(76),
  abs: one(236),
  neg: one(237),
  sqrt: one(239),
  add: two(240),
  sub: two(241),
  mul: two(242),
  div: two(243),
  pmin: two(246),
  pmax: two(247),
  convert_low_i32x4_s: one(254),
  promote_low_f32x4: one(95),
  ceil: one(116),
  floor: one(117),
  trunc: one(122),
  nearest: one(148),
};
