import type { Decision } from "@queztl/brain";
import type { Amount } from "../nodes/capacity.ts";
import { guestOverheadMib } from "../vms/vm-service.ts";
import type { AttemptSteps } from "./attempt-steps.ts";
import type { RunnerParts } from "./runner-parts.ts";
import type { TaskPlan } from "./task-plan.ts";
import type { TaskFileRow, TaskRow } from "./task-records.ts";

/** What is decided upon. */
export interface Undecided {
  readonly task: TaskRow;
  readonly plan: TaskPlan;
  readonly inputs: readonly TaskFileRow[];
  readonly steps: AttemptSteps;
}

/**
 * What a task is given, and why: the brain's estimate, or more than the last time after it ran out of memory. Throws
 * `QZ_BRAIN_MEMORY_CAP_REACHED`.
 */
export async function decide(
  { brain, records, settings, fleet, reservations }: RunnerParts,
  { task: { id, description, input, attempt }, plan, inputs, steps }: Undecided,
): Promise<Decision> {
  const before = attempt > 1 ? await records.attempt(id, attempt - 1) : undefined;
  const analysis = await steps.take("analyse", async () => {
    const { host } = fleet.parts;
    const most = Math.min(host.mostMemoryMib, reservations.capacity.memoryMib);
    const { request, limits, data } = input;
    const family = input.family ?? plan.family;
    const vcpus = request?.["cpu"] ?? plan.request?.vcpus;
    return brain.analyse({
      description,
      files: inputs.map(({ name, bytes }) => ({ name, bytes })),
      ...(data === undefined ? {} : { data }),
      ...(family === undefined ? {} : { family }),
      ...(plan.image === undefined ? {} : { image: plan.image }),
      ...(plan.inputBytes === undefined ? {} : { inputBytes: plan.inputBytes }),
      request: {
        memoryMib:
          request?.["memoryMib"] ?? plan.request?.memoryMib ?? settings.get("tasks.memoryMib"),
        ...(vcpus === undefined ? {} : { vcpus }),
      },
      limits: {
        memoryMib: Math.min(limits?.["memoryMib"] ?? Infinity, most - guestOverheadMib(plan.image)),
        vcpus: Math.min(limits?.["cpu"] ?? Infinity, host.mostCpu, reservations.capacity.cpu),
        gpus: 0,
        diskMib: limits?.["diskMib"],
        timeSeconds: limits?.["timeSeconds"],
      },
    });
  });
  return steps.take("estimate", async () => {
    const failed =
      before?.outcome === "oom" && before.decision !== null
        ? (await brain.store.find({ decision: before.decision }))?.decision
        : undefined;
    return failed === undefined ? brain.estimate(analysis, id) : brain.retry(failed, id, attempt);
  });
}

/** What a VM's disk may hold where nothing more is known to be needed. */
export const DEFAULT_DISK_MIB = 1024;

/** What the disk of the VM may hold. A limit is kept. */
export function diskFor({ input }: TaskRow, { resources }: Decision): number {
  const wanted = Math.max(DEFAULT_DISK_MIB, Math.ceil(resources.diskMib));
  return Math.min(input.limits?.["diskMib"] ?? Infinity, wanted);
}

/** The size of the VM: the decision and what the guest's system takes, rounded up to a template's where that is allowed. */
export async function sizeFor(
  { fleet, reservations, templates }: RunnerParts,
  { input }: TaskRow,
  { resources }: Decision,
): Promise<Amount> {
  const { mostMemoryMib, mostCpu, sizes } = fleet.parts.host;
  const { image } = resources;
  const overheadMib = guestOverheadMib(image);
  const need = {
    cpu: resources.vcpus,
    memoryMib: Math.min(resources.memoryMib + overheadMib, mostMemoryMib),
  };
  const most = Math.min((input.limits?.["memoryMib"] ?? Infinity) + overheadMib, mostMemoryMib);
  const cpu = sizes.cpu.find((each) => each >= need.cpu && each <= mostCpu);
  const memoryMib = sizes.memoryMib.find((each) => each >= need.memoryMib && each <= most);
  if (cpu === undefined || memoryMib === undefined) return need;
  const size = await templates.sizeLike({ image, cpu, memoryMib, network: false }, most);
  if (reservations.fits(size)) return size;
  return reservations.fits({ cpu, memoryMib }) ? { cpu, memoryMib } : need;
}
