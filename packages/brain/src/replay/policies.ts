import { fault } from "../errors.ts";
import { requestPolicy, tovarPolicy, vpaPolicy, wittPolicy } from "../sizer/baselines.ts";
import type { MemoryPolicy } from "../sizer/memory-policy.ts";
import { createSizer } from "../sizer/sizer.ts";

const POLICIES = new Map<string, () => MemoryPolicy>([
  ["brain", () => createSizer()],
  ["brain-cheap", () => createSizer({ policy: "cheap" })],
  ["brain-safe", () => createSizer({ policy: "safe" })],
  ["request", requestPolicy],
  ["vpa", () => vpaPolicy(0.9, 1.15)],
  ["vpa-p95", () => vpaPolicy(0.95, 1)],
  ["vpa-p99", () => vpaPolicy(0.99, 1)],
  ["witt", wittPolicy],
  ["tovar", tovarPolicy],
]);

/** The names of the policies that can be replayed: the brain at three levels of risk, and the baselines. */
export const policyNames: readonly string[] = [...POLICIES.keys()];

/** Makes a policy by its name, without any knowledge. Throws `QZ_BRAIN_POLICY_UNKNOWN`. */
export function createPolicy(name: string): MemoryPolicy {
  const make = POLICIES.get(name);
  if (make === undefined) {
    throw fault("QZ_BRAIN_POLICY_UNKNOWN", { policy: name, known: policyNames.join(", ") });
  }
  return make();
}
