import { accessCases } from "./access-cases.ts";
import type { ContractCase } from "./contract-case.ts";
import { serverCases } from "./server-cases.ts";
import { taskCases } from "./task-cases.ts";
import { vmCases } from "./vm-cases.ts";

export type { ContractCase, ContractKit, ContractTarget, Expect } from "./contract-case.ts";
export { createContractKit } from "./kit.ts";
export type { KitOptions } from "./kit.ts";

/**
 * What every implementation of the services keeps over every transport; run each with a kit as one test:
 * `test(each.name, () => each.run(kit))`.
 */
export const contractCases: readonly ContractCase[] = [
  ...accessCases,
  ...vmCases,
  ...taskCases,
  ...serverCases,
];
