import { serverErrors } from "../errors.ts";
import type { VmHost } from "./vm-host.ts";

/** A host that runs no VMs: everything else works, and making one says why it is refused. */
export function createNoVms(problem: string): VmHost {
  const refuse = async () => {
    throw serverErrors("QZ_SERVER_VM_UNAVAILABLE", { problem });
  };
  return {
    engines: ["emulator"],
    mostMemoryMib: 3584,
    mostCpu: 64,
    create: refuse,
    open: async () => undefined,
    list: async () => [],
    prepare: refuse,
    templates: async () => [],
    dropTemplate: refuse,
    close: async () => undefined,
  };
}
