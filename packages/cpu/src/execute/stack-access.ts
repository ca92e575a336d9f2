import type { Core } from "../core.ts";
import { Register, Segment } from "../state/layout.ts";
import type { MicroOp } from "./micro-op.ts";

/** Instructions that use the stack without naming it, by mnemonic. */
const STACK_USERS = new Set("push pop call ret retf iret enter leave pushf popf".split(" "));

/** The furthest from rSP that an instruction with a memory operand of its own uses the stack. */
const NEAR = 16n;

/**
 * Whether an access of an instruction was made through the stack segment, by rule or by its base register:
 * in 64-bit mode that decides between #SS and #GP for an address that is not canonical (Intel SDM vol. 1, 3.3.7.1).
 */
export function isStackAccess(cpu: Core, op: MicroOp, address: bigint): boolean {
  const stackUser = STACK_USERS.has(op.entry.mnemonic);
  if (!op.memory) return stackUser;
  const rsp = cpu.registers[Register.Rsp] as bigint;
  const distance = BigInt.asIntN(64, address - rsp);
  if (stackUser && distance <= NEAR && distance >= -NEAR) return true;
  const { base, segment } = op;
  const stackBase = base === Register.Rsp || base === Register.Rbp;
  return stackBase && segment !== Segment.Fs && segment !== Segment.Gs;
}
