export { type CausalityBreach, findCausalityBreach } from "./causality.ts";
export { createPolicy, policyNames } from "./policies.ts";
export { replay, type ReplayDecision, type ReplayOptions, type ReplayResult } from "./replay.ts";
export { parseTraces, type TraceTask } from "./trace.ts";
