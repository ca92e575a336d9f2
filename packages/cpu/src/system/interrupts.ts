import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Flag, Segment, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import { isReal, isVirtual8086, selectorOf } from "./descriptors.ts";
import { deliver } from "./exceptions.ts";
import type { EventSource } from "./exceptions.ts";
import { changeableFlags, replaceFlags } from "./interrupt-return.ts";
import { StackCursor } from "./stack.ts";

/** INT n, INT3, INTO: delivered here, because the frame returns behind the instruction. */
function software(vector: (op: MicroOp) => number, source: EventSource = "software") {
  return (cpu: Core, op: MicroOp): number => {
    const number = vector(op);
    if (isVirtual8086(cpu) && op.entry.mnemonic === "int" && iopl(cpu) < 3) {
      raise(Vector.GeneralProtection, 0);
    }
    const here = (cpu.u64(State.RipPage) + BigInt(op.inPage)) & cpu.u64(State.RipMask);
    cpu.rip = cpu.nextRip(op);
    cpu.returnOnFault = here;
    cpu.entered = true;
    const task = selectorOf(cpu, Segment.Tr);
    const alive = deliver(cpu, number, -1, source);
    cpu.returnOnFault = undefined;
    if (!alive) {
      cpu.shutdown = true;
      return HelperStatus.Exit;
    }
    // A gate only clears IF and TF; another task has flags of its own.
    return selectorOf(cpu, Segment.Tr) === task ? HelperStatus.Jump : HelperStatus.Exit;
  };
}

const iopl = (cpu: Core): number => (cpu.u32(State.SystemFlags) >> 12) & 3;

/** CLI and STI where the current privilege does not simply allow them. */
function checkInterruptPrivilege(cpu: Core): void {
  if ((cpu.u32(State.Cr0) & 1) === 0) return;
  if (cpu.cpl > iopl(cpu)) raise(Vector.GeneralProtection, 0);
}

function setInterrupts(cpu: Core, op: MicroOp): number {
  checkInterruptPrivilege(cpu);
  const flags = cpu.u32(State.SystemFlags);
  if ((flags & Flag.If) !== 0) return HelperStatus.Next;
  cpu.setU32(State.SystemFlags, flags | Flag.If);
  cpu.shadowInterrupts();
  cpu.rip = cpu.nextRip(op);
  return HelperStatus.Exit;
}

function popFlags(cpu: Core, op: MicroOp): number {
  if (isVirtual8086(cpu) && iopl(cpu) < 3) raise(Vector.GeneralProtection, 0);
  const size = op.operandSize;
  const stack = StackCursor.current(cpu);
  const value = Number(stack.pop((size / 8) as 2 | 4 | 8) & 0xffffffffn);
  const before = cpu.u32(State.SystemFlags);
  // POPF clears RF and leaves VIF and VIP; virtual-8086 mode leaves IOPL.
  const cpl = isReal(cpu) && !isVirtual8086(cpu) ? 0 : cpu.cpl;
  const mask = changeableFlags(cpu, cpl, size) & ~(Flag.Vif | Flag.Vip);
  stack.commit();
  replaceFlags(cpu, value & ~Flag.Rf, mask | Flag.Rf);
  const after = cpu.u32(State.SystemFlags);
  const opened = (after & ~before & Flag.If) !== 0 || (after & Flag.Tf) !== 0;
  const aligned = ((after ^ before) & Flag.Ac) !== 0;
  if (!opened && !aligned) return HelperStatus.Next;
  cpu.rip = cpu.nextRip(op);
  cpu.sync();
  return opened ? HelperStatus.Exit : HelperStatus.Jump;
}

/** PUSHF in virtual-8086 mode; elsewhere it is described for code generation. */
function pushFlags(cpu: Core, op: MicroOp): void {
  if (iopl(cpu) < 3) raise(Vector.GeneralProtection, 0);
  const stack = StackCursor.current(cpu);
  stack.push((op.operandSize / 8) as 2 | 4 | 8, BigInt(cpu.flags & ~(Flag.Rf | Flag.Vm)));
  stack.commit();
}

/** Interrupts, and the flags and states that hold them back (Intel SDM vol. 3, 6). */
export const interruptHelpers: Helpers = {
  int: software((op) => op.immediate & 0xff),
  int3: software(() => Vector.Breakpoint),
  into: (cpu, op) =>
    (cpu.flags & Flag.Of) !== 0 ? software(() => Vector.Overflow)(cpu, op) : HelperStatus.Next,
  // INT1 asks for no privilege (Intel SDM vol. 3, 6.12.1.2).
  int1: software(() => Vector.Debug, "exception"),
  cli(cpu) {
    checkInterruptPrivilege(cpu);
    cpu.setU32(State.SystemFlags, cpu.u32(State.SystemFlags) & ~Flag.If);
  },
  sti: setInterrupts,
  popf: popFlags,
  pushf: pushFlags,
  hlt(cpu, op) {
    cpu.halted = true;
    cpu.rip = cpu.nextRip(op);
    return HelperStatus.Exit;
  },
  // A spinning processor lets the others of its machine have their turn.
  pause(cpu, op) {
    if (cpu.features.processors === 1) return HelperStatus.Next;
    cpu.yields = true;
    cpu.rip = cpu.nextRip(op);
    return HelperStatus.Exit;
  },
  ud0: () => raise(Vector.InvalidOpcode),
  ud1: () => raise(Vector.InvalidOpcode),
  ud2: () => raise(Vector.InvalidOpcode),
  rsm: () => raise(Vector.InvalidOpcode),
};
