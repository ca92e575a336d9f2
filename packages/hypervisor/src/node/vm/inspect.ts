import { hypervisorError } from "../../errors.ts";
import { lastRun } from "./run-lock.ts";
import type { VmRun } from "./run-lock.ts";
import { parseFile, parseVmConfig, vmRecordSchema } from "./vm-config.ts";
import type { VmConfig, VmEnd, VmState } from "./vm-config.ts";
import type { VmFolder } from "./vm-folder.ts";
import { readIfThere } from "./vm-folder.ts";

/** What a VM's folder tells of it, without asking its monitor. */
export interface VmSummary {
  readonly id: string;
  readonly state: VmState;
  /** Its folder. */
  readonly folder: string;
  /** The process of its monitor, where there is one. */
  readonly pid: number | undefined;
  /** How it ended, once it has. A monitor that was killed ends as "crashed". */
  readonly end: VmEnd | undefined;
  readonly image: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly memoryMib: number;
  readonly cpus: number;
}

/** @throws QZ_HYPERVISOR_VM_UNKNOWN; QZ_HYPERVISOR_VM_FOLDER for a folder that is none of ours. */
export async function readConfig(folder: VmFolder): Promise<VmConfig> {
  const text = await readIfThere(folder.config);
  if (text === undefined) throw hypervisorError("QZ_HYPERVISOR_VM_UNKNOWN", { id: folder.id });
  return parseVmConfig(folder.config, text);
}

/** What is known of a VM from its folder. @throws as `readConfig` */
export async function inspectVm(folder: VmFolder): Promise<VmSummary> {
  const config = await readConfig(folder);
  const run = await lastRun(folder.path);
  const { state, end } = await stateOf(folder, run);
  const { id, image, labels, createdAt, machine } = config;
  return {
    id,
    state,
    folder: folder.path,
    pid: run?.alive ? run.monitor.pid : undefined,
    end,
    image,
    labels,
    createdAt,
    memoryMib: machine.memoryMib,
    cpus: machine.cpus,
  };
}

async function stateOf(
  folder: VmFolder,
  run: VmRun | undefined,
): Promise<{ readonly state: VmState; readonly end: VmEnd | undefined }> {
  // It was made, and whoever made it never came to start it.
  if (run === undefined) return { state: "stopped", end: undefined };
  const text = await readIfThere(folder.state);
  const record = text === undefined ? undefined : parseFile(vmRecordSchema, folder.state, text);
  const current = record?.run === run.run ? record : undefined;
  if (current?.end) return { state: current.state, end: current.end };
  if (run.alive) return { state: current?.state ?? "starting", end: undefined };
  // What it said last may have been written while the process was looked for.
  const again = await readIfThere(folder.state);
  if (again !== undefined && again !== text) return await stateOf(folder, run);
  return { state: "crashed", end: { reason: "crashed" } };
}
