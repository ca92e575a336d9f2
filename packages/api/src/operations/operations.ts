import { brainOperations } from "./brain.ts";
import { configOperations } from "./config.ts";
import { eventsOperations } from "./events.ts";
import { fileOperations } from "./file.ts";
import { imageOperations } from "./image.ts";
import { nodeOperations } from "./node.ts";
import type { Operation } from "./operation.ts";
import { statsOperations } from "./stats.ts";
import { taskOperations } from "./task.ts";
import { tokenOperations } from "./token.ts";
import { vmOperations } from "./vm.ts";

/** Every operation of the contract, by resource and name: `operations.vm.create`. */
export const operations = {
  vm: vmOperations,
  task: taskOperations,
  brain: brainOperations,
  node: nodeOperations,
  image: imageOperations,
  file: fileOperations,
  stats: statsOperations,
  config: configOperations,
  events: eventsOperations,
  token: tokenOperations,
} satisfies Record<string, Record<string, Operation>>;

/** The table of all operations. */
export type Operations = typeof operations;

/** An operation with its full name, such as `vm.create`. */
export interface NamedOperation {
  readonly name: string;
  readonly operation: Operation;
}

/** All operations as a flat list, in the order of the table. */
export const operationList: readonly NamedOperation[] = Object.entries(operations).flatMap(
  ([resource, procedures]) =>
    Object.entries<Operation>(procedures).map(([procedure, operation]) => ({
      name: `${resource}.${procedure}`,
      operation,
    })),
);

const byName = new Map(operationList.map((each) => [each.name, each.operation]));

/** The operation of a full name such as `vm.create`; undefined for a name that there is not. */
export const operationNamed = (name: string): Operation | undefined => byName.get(name);
