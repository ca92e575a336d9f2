import { arithmetic } from "./arithmetic.ts";
import { bits } from "./bits.ts";
import type { Descriptions } from "./context.ts";
import { control } from "./control.ts";
import { move } from "./move.ts";
import { multiply } from "./multiply.ts";
import { shifts } from "./shift.ts";
import { sseArithmetic } from "./sse-arithmetic.ts";
import { sseCompare } from "./sse-compare.ts";
import { sseControl } from "./sse-control.ts";
import { sseConvert } from "./sse-convert.ts";
import { sseInteger } from "./sse-integer.ts";
import { sseMove } from "./sse-move.ts";
import { sseShuffle } from "./sse-shuffle.ts";
import { sseStrings } from "./sse-strings.ts";
import { string } from "./string.ts";
import { system } from "./system.ts";
import { x87Arithmetic } from "./x87-arithmetic.ts";
import { x87Compare } from "./x87-compare.ts";
import { x87Move } from "./x87-move.ts";

/** Every instruction that is described for code generation, by the name of its semantics. */
export const descriptions: Descriptions = {
  ...arithmetic,
  ...bits,
  ...control,
  ...move,
  ...multiply,
  ...shifts,
  ...sseArithmetic,
  ...sseCompare,
  ...sseControl,
  ...sseConvert,
  ...sseInteger,
  ...sseMove,
  ...sseShuffle,
  ...sseStrings,
  ...string,
  ...system,
  ...x87Arithmetic,
  ...x87Compare,
  ...x87Move,
};
