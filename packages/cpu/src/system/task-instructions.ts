import type { Core } from "../core.ts";
import { GuestFault, Vector, raise } from "../execute/guest-fault.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { HelperStatus } from "../state/status.ts";
import { isLongActive } from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { deliver } from "./exceptions.ts";
import { checkTaskStart, readLinkedTss, readTss, switchTask } from "./task-switch.ts";
import type { TaskEntry } from "./task-switch.ts";

const TASK_GATE = 5;
const TSS_TYPES: readonly number[] = [1, 3, 9, 11];

/** JMP or CALL to a TSS or task gate; undefined for any other target (Intel SDM vol. 2, JMP and CALL). */
export function enterTask(
  cpu: Core,
  op: MicroOp,
  target: Descriptor,
  entry: "jump" | "call",
): number | undefined {
  const { type, selector } = target;
  const gate = type === TASK_GATE;
  if (isLongActive(cpu) || !(gate || TSS_TYPES.includes(type))) return undefined;
  const error = selector & 0xfffc;
  if (target.dpl < Math.max(cpu.cpl, selector & 3)) raise(Vector.GeneralProtection, error);
  if (gate && !target.present) raise(Vector.SegmentNotPresent, error);
  const named = gate ? Number((target.raw >> 16n) & 0xffffn) : selector;
  return transfer(cpu, op, readTss(cpu, named, entry), entry);
}

/** IRET of a nested task: back to the one that its TSS links to. */
export function returnToTask(cpu: Core, op: MicroOp): number {
  return transfer(cpu, op, readLinkedTss(cpu), "return");
}

/** Faults of the new task are delivered here, since rip is no longer the instruction's. */
function transfer(cpu: Core, op: MicroOp, tss: Descriptor, entry: TaskEntry): number {
  cpu.entered = false;
  try {
    switchTask(cpu, tss, entry, cpu.flags, cpu.nextRip(op));
    checkTaskStart(cpu);
  } catch (fault) {
    if (!(fault instanceof GuestFault) || !cpu.entered) throw fault;
    cpu.sync();
    if (!deliver(cpu, fault.vector, fault.errorCode, "exception")) cpu.shutdown = true;
  }
  return HelperStatus.Exit;
}
