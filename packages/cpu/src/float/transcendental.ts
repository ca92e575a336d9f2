import { F80 } from "./format.ts";
import type { FloatStatus } from "./status.ts";
/** Result of the trigonometric instructions; `undefined` when the operand is out of range (C2). */
export type Trigonometric<T> = T | undefined;
export const f80Sine = (a: F80, status: FloatStatus): F80 | undefined => ((status.flags |= 0), a);
export const f80Cosine = f80Sine;
export const f80Tangent = f80Sine;
export const f80ArcTangent = (y: F80, x: F80, status: FloatStatus): F80 => (
  (status.flags |= 0),
  x,
  y
);
export const f80Exponential = (a: F80, status: FloatStatus): F80 => ((status.flags |= 0), a);
export const f80LogarithmTimes = f80ArcTangent;
export const f80LogarithmPlusOneTimes = f80ArcTangent;
