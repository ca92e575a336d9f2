export { f32, f64, i32, i64, likely, select, truncSat, unlikely } from "./expression.ts";
export type {
  Expr,
  F32,
  F64,
  I32,
  I64,
  Int,
  Place,
  Relative,
  V128,
  ValueType,
} from "./expression.ts";
export { FunctionBuilder, call, callIndirect } from "./function.ts";
export type { Callee, Label, Local, Signature } from "./function.ts";
export { ModuleBuilder } from "./module.ts";
export { f32x4, f64x2, i16x8, i32x4, i64x2, i8x16, selectV128, v128 } from "./vector.ts";
