import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { writeRegister } from "../execute/operands.ts";
import { Flag, Register, State, STATUS_FLAGS } from "../state/layout.ts";
import { Cr4 } from "./control-registers.ts";

function readTsc(cpu: Core): void {
  if ((cpu.u32(State.Cr4) & Cr4.Tsd) !== 0 && cpu.cpl > 0) raise(Vector.GeneralProtection, 0);
  const { tsc } = cpu;
  cpu.registers[Register.Rax] = tsc & 0xffffffffn;
  cpu.registers[Register.Rdx] = tsc >> 32n;
}

function random(cpu: Core, op: MicroOp): void {
  writeRegister(cpu, op.field(0), op.operandSize, cpu.randomUint64());
  cpu.flags = (cpu.flags & ~STATUS_FLAGS) | Flag.Cf;
}

/** Time stamps and random numbers (Intel SDM vol. 3, 18.17; vol. 1, 7.3.17). */
export const timeStampHelpers: Helpers = {
  rdtsc: readTsc,
  rdtscp(cpu) {
    readTsc(cpu);
    cpu.registers[Register.Rcx] = cpu.msr.tscAux & 0xffffffffn;
  },
  rdpid: (cpu, op) => writeRegister(cpu, op.field(0), 64, cpu.msr.tscAux & 0xffffffffn),
  rdrand: random,
  rdseed: random,
  // No performance counters are offered.
  rdpmc: () => raise(Vector.GeneralProtection, 0),
};
