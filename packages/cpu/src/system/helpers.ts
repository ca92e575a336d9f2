import type { Helpers } from "../execute/helper.ts";
import { controlRegisterHelpers } from "./control-registers.ts";
import { cpuidHelpers } from "./cpuid.ts";
import { farControlHelpers } from "./far-control.ts";
import { fastCallHelpers } from "./fast-calls.ts";
import { integerHelpers } from "./integer-helpers.ts";
import { interruptReturnHelpers } from "./interrupt-return.ts";
import { interruptHelpers } from "./interrupts.ts";
import { msrHelpers } from "./msr.ts";
import { portIoHelpers } from "./port-io.ts";
import { segmentHelpers } from "./segments.ts";
import { simdHelpers } from "./simd-helpers.ts";
import { timeStampHelpers } from "./time-stamp.ts";
import { extendedStateHelpers } from "./extended-state.ts";
import { x87Helpers } from "./x87-helpers.ts";

/** Every instruction that is carried out by a helper, by the name of its semantics. */
export const helpers: Helpers = {
  ...controlRegisterHelpers,
  ...cpuidHelpers,
  ...farControlHelpers,
  ...fastCallHelpers,
  ...integerHelpers,
  ...interruptReturnHelpers,
  ...interruptHelpers,
  ...msrHelpers,
  ...portIoHelpers,
  ...segmentHelpers,
  ...simdHelpers,
  ...timeStampHelpers,
  ...extendedStateHelpers,
  ...x87Helpers,
};
