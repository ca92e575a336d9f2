import { Flag, Register, Segment, SegmentField, State } from "../state/layout.ts";
import { i32, i64, likely, unlikely } from "../wasm/index.ts";
import type { I32, I64, Int } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext, Width } from "./context.ts";
import {
  carryFlag,
  conditionHolds,
  loadStatusFlags,
  overflowFlag,
  setCarry,
  statusFlags,
  zeroFlag,
} from "./flags.ts";
import { constant, eqz, sub, toI32, toI64 } from "./integer-ops.ts";

/** The stack pointer's value after moving it by `change` bytes, and the address that goes with it. */
interface StackSlot {
  /** Linear address of the slot. */
  readonly address: I64;
  /** Makes the new stack pointer visible. */
  readonly commit: () => void;
}

const stackPointer = (s: InstructionContext): I64 => s.stackOffset(s.register(Register.Rsp));

/** Writes the stack pointer: with a 16-bit stack only SP changes, with a 32-bit one the upper half clears. */
export function setStackPointer(s: InstructionContext, value: I64): void {
  const { f } = s;
  if (s.shape.long) {
    s.setRegister(Register.Rsp, 64, value);
    return;
  }
  const kept = f.let(s.stackOffset(value));
  const mask = s.state64(State.StackMask);
  if (mask.constant !== undefined) {
    // It is known only where it is 32 bits.
    s.setRegister(Register.Rsp, 64, kept);
    return;
  }
  f.if(
    i64.eq(mask, i64.const(0xffff)),
    () => s.setRegister(Register.Rsp, 16, i32.wrap_i64(kept)),
    () => s.setRegister(Register.Rsp, 64, kept),
  );
}

function pushSlot(s: InstructionContext, bytes: number): StackSlot {
  const { f } = s;
  const lower = i64.sub(stackPointer(s), i64.const(bytes));
  const top = f.let(s.stackOffset(lower));
  const address = s.shape.long ? top : f.let(s.linear(Segment.Ss, top, bytes, true));
  return { address, commit: () => setStackPointer(s, top) };
}

/** Pushes a value of the operand size. */
export function push(s: InstructionContext, width: 16 | 32 | 64, value: Int): void {
  const kept = s.f.let(value);
  const slot = pushSlot(s, width / 8);
  s.store(width, slot.address, kept);
  slot.commit();
}

/** Reads the top of the stack; `commit` removes it and `extra` bytes more. */
export function pop(
  s: InstructionContext,
  width: 16 | 32 | 64,
  extra: Int = i64.const(0),
): { value: Int; commit: () => void } {
  const { f } = s;
  const top = f.let(stackPointer(s));
  const address = s.shape.long ? top : f.let(s.linear(Segment.Ss, top, width / 8, false));
  const value = f.let(s.load(width, address));
  const above = i64.add(i64.add(top, i64.const(width / 8)), toI64(extra));
  return { value, commit: () => setStackPointer(s, above) };
}

/** A rip popped or read with the operand size. */
const ripFrom = (value: Int): I64 => toI64(value);

const loopOn = (condition: (s: InstructionContext) => I32 | undefined): Description => ({
  group: "main",
  modal: true,
  string: true,
  describe(s) {
    const width = s.shape.addressSize as Width;
    const count = s.f.let(sub(s.registerPart(Register.Rcx, width), constant(width, 1)));
    const left = i32.eqz(eqz(masked(width, count)));
    const also = condition(s);
    const taken = s.f.let(also === undefined ? left : i32.and(left, also));
    s.f.if(taken, () => checkBranch(s));
    s.setRegister(Register.Rcx, width, count);
    s.f.if(taken, () => s.branch());
  },
});

const masked = (width: Width, value: Int): Int =>
  width === 16 ? i32.and(toI32(value), i32.const(0xffff)) : value;

/** Whether the current privilege may change IF directly; if not, the helper decides. */
function interruptFlagAllowed(s: InstructionContext): I32 {
  return i32.eqz(s.state32(State.Cpl));
}

/** Stack, control transfer and flag instructions (Intel SDM vol. 1, 5.1.7 and 5.1.11). */
export const control: Descriptions = {
  push: {
    modal: true,
    describe(s) {
      const { size } = s.shape;
      const value = s.get(0);
      push(s, size, value);
    },
  },
  pop: {
    modal: true,
    describe(s) {
      const { size, operands } = s.shape;
      const { value, commit } = pop(s, size);
      if (operands[0]?.class === "memory") {
        s.set(0, value);
        commit();
      } else {
        commit();
        s.set(0, value);
      }
    },
  },
  leave: {
    modal: true,
    describe(s) {
      const { size, long } = s.shape;
      const frame = s.f.let(s.register(Register.Rbp));
      const top = s.f.let(s.stackOffset(frame));
      const address = long ? top : s.f.let(s.linear(Segment.Ss, top, size / 8, false));
      const value = s.f.let(s.load(size, address));
      setStackPointer(s, i64.add(top, i64.const(size / 8)));
      s.setRegister(Register.Rbp, size, value);
    },
  },
  call: {
    modal: true,
    describe(s) {
      const { size, operands } = s.shape;
      const relative = operands[0]?.class === "target";
      const target = relative ? undefined : s.f.let(ripFrom(s.get(0)));
      const next = s.nextRip();
      if (target === undefined) checkBranch(s);
      else checkTarget(s, target);
      push(s, size, size === 64 ? next : i32.wrap_i64(next));
      if (target === undefined) s.branch();
      else s.jump(target);
    },
  },
  ret: {
    modal: true,
    describe(s) {
      const { size, operands } = s.shape;
      const extra = operands.length > 0 ? i64.and(toI64(s.get(0)), i64.const(0xffff)) : undefined;
      const { value, commit } = pop(s, size, extra);
      const target = s.f.let(ripFrom(value));
      checkTarget(s, target);
      commit();
      s.jump(target);
    },
  },
  jmp: {
    modal: true,
    describe(s) {
      if (s.shape.operands[0]?.class === "target") {
        checkBranch(s);
        s.branch();
        return;
      }
      const target = s.f.let(ripFrom(s.get(0)));
      checkTarget(s, target);
      s.jump(target);
    },
  },
  jcc: {
    modal: true,
    describe(s) {
      s.f.if(conditionHolds(s, s.shape.condition), () => {
        checkBranch(s);
        s.branch();
      });
    },
  },
  jcxz: {
    modal: true,
    string: true,
    describe(s) {
      s.f.if(eqz(s.registerPart(Register.Rcx, s.shape.addressSize)), () => {
        checkBranch(s);
        s.branch();
      });
    },
  },
  loop: loopOn(() => undefined),
  loope: loopOn((s) => zeroFlag(s)),
  loopne: loopOn((s) => i32.eqz(zeroFlag(s))),
  clc: { group: "rare", describe: (s) => setCarry(s, i32.const(0)) },
  stc: { group: "rare", describe: (s) => setCarry(s, i32.const(1)) },
  cmc: { group: "rare", describe: (s) => setCarry(s, i32.xor(carryFlag(s), i32.const(1))) },
  cld: { describe: (s) => s.setSystemFlags(i32.and(s.systemFlags(), i32.const(~Flag.Df))) },
  std: {
    group: "rare",
    describe: (s) => s.setSystemFlags(i32.or(s.systemFlags(), i32.const(Flag.Df))),
  },
  cli: {
    describe(s) {
      s.f.if(
        likely(interruptFlagAllowed(s)),
        () => s.setSystemFlags(i32.and(s.systemFlags(), i32.const(~Flag.If))),
        () => s.help(),
      );
    },
  },
  sti: {
    describe(s) {
      // Only a change of IF from 0 to 1 has an interrupt shadow and lets interrupts in.
      const set = i32.and(s.systemFlags(), i32.const(Flag.If));
      s.f.if(i32.and(interruptFlagAllowed(s), i32.shr_u(set, i32.const(9))), () => s.done());
      // Where nothing waits and no trap is due there is nothing to hold back either.
      const trap = i32.and(s.systemFlags(), i32.const(Flag.Tf));
      const quiet = i32.eqz(i32.or(s.state32(State.InterruptWaiting), trap));
      s.f.if(likely(i32.and(interruptFlagAllowed(s), quiet)), () => {
        s.setSystemFlags(i32.or(s.systemFlags(), i32.const(Flag.If)));
        s.done();
      });
      s.help();
    },
  },
  lahf: {
    group: "rare",
    describe(s) {
      const low = i32.or(i32.and(statusFlags(s), i32.const(0xff)), i32.const(Flag.Fixed));
      const ax = s.registerPart(Register.Rax, 16);
      s.setRegister(
        Register.Rax,
        16,
        i32.or(i32.and(toI32(ax), i32.const(0xff)), i32.shl(low, i32.const(8))),
      );
    },
  },
  sahf: {
    group: "rare",
    describe(s) {
      const { f } = s;
      const ah = i32.shr_u(toI32(s.registerPart(Register.Rax, 16)), i32.const(8));
      const of = i32.shl(overflowFlag(s), i32.const(11));
      loadStatusFlags(s, f.let(i32.or(i32.and(ah, i32.const(0xd5)), of)));
    },
  },
  pushf: {
    modal: true,
    describe(s) {
      const { size, long } = s.shape;
      if (!long) {
        // Virtual-8086 mode has rules of its own.
        s.f.if(i32.and(s.systemFlags(), i32.const(Flag.Vm)), () => s.help());
      }
      const system = i32.and(s.systemFlags(), i32.const(~(Flag.Rf | Flag.Vm)));
      const flags = i32.or(i32.or(system, statusFlags(s)), i32.const(Flag.Fixed));
      push(s, size, size === 64 ? i64.extend_i32_u(flags) : flags);
    },
  },
};

/** A jump faults itself, not its target, where that is not canonical or lies beyond the code segment. */
function checkTarget(s: InstructionContext, target: I64): void {
  if (s.shape.long) {
    const extended = i64.shr_s(i64.shl(target, i64.const(16)), i64.const(16));
    s.f.if(unlikely(i64.ne(extended, target)), () => s.raise(13, 0));
    return;
  }
  const at = State.Segments + Segment.Cs * SegmentField.Length + SegmentField.Limit;
  const limit = s.state32(at);
  if (limit.constant === -1) return;
  const masked = i64.and(target, s.state64(State.RipMask));
  s.f.if(unlikely(i64.gt_u(masked, i64.extend_i32_u(limit))), () => s.raise(13, 0));
}

/** The same of a relative branch; one that stays in its page is inside the segment. */
function checkBranch(s: InstructionContext): void {
  if (!s.shape.near) checkTarget(s, s.f.let(s.targetRip()));
}
