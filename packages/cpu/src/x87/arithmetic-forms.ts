/** The eight basic operations in all their forms, comparisons included. */
import type { F80 } from "../float/format.ts";
import { F80 as FORMAT } from "../float/format.ts";
import { compare, Ordering } from "../float/compare.ts";
import type { OrderingResult } from "../float/compare.ts";
import type { FloatStatus } from "../float/status.ts";
import { f80Add, f80Divide, f80Multiply, f80Subtract } from "../float/x87.ts";
import { Status } from "./registers.ts";
import type { RegisterStack } from "./stack.ts";

type Binary = (a: F80, b: F80, status: FloatStatus) => F80;

/** By ModRM.reg; the destination is the first operand. */
const OPERATIONS: readonly (Binary | undefined)[] = [
  f80Add,
  f80Multiply,
  undefined,
  undefined,
  f80Subtract,
  (a, b, status) => f80Subtract(b, a, status),
  f80Divide,
  (a, b, status) => f80Divide(b, a, status),
];

const CODES: Readonly<Record<OrderingResult, number>> = {
  [-1]: Status.c0,
  0: Status.c3,
  1: 0,
  2: Status.c0 | Status.c2 | Status.c3,
};

/** EFLAGS bits that FCOMI writes: CF, PF and ZF by outcome. AF, SF and OF are cleared. */
const EFLAGS: Readonly<Record<OrderingResult, number>> = { [-1]: 0x01, 0: 0x40, 1: 0, 2: 0x45 };
const EFLAGS_WRITTEN = 0x8d5;

/** ST(target) = ST(target) op ST(source), with `reg` naming the operation; then maybe pops. */
export function registerArithmetic(
  stack: RegisterStack,
  reg: number,
  target: number,
  source: number,
  pop: boolean,
): void {
  const operation = OPERATIONS[reg];
  if (operation === undefined) return;
  stack.begin();
  if (stack.isEmpty(target) || stack.isEmpty(source)) {
    if (stack.fault(false)) {
      stack.set(target, FORMAT.indefinite);
      if (pop) stack.pop();
    }
  } else {
    const value = operation(stack.get(target), stack.get(source), stack.float);
    if (!stack.suppressed) {
      stack.set(target, value);
      if (pop) stack.pop();
    }
  }
  stack.end();
}

/** ST(0) = ST(0) op memory, or a comparison. `load` converts the operand and may itself raise exceptions. */
export function memoryArithmetic(
  stack: RegisterStack,
  reg: number,
  load: (status: FloatStatus) => F80,
): void {
  stack.begin();
  const operation = OPERATIONS[reg];
  if (stack.isEmpty(0)) {
    const masked = stack.fault(false);
    if (operation === undefined) compareFault(stack, masked, reg === 3 ? 1 : 0);
    else if (masked) stack.set(0, FORMAT.indefinite);
  } else {
    const value = load(stack.float);
    if (operation === undefined) finishCompare(stack, stack.get(0), value, true, reg === 3 ? 1 : 0);
    else {
      const result = operation(stack.get(0), value, stack.float);
      if (!stack.suppressed) stack.set(0, result);
    }
  }
  stack.end();
}

function compareFault(stack: RegisterStack, masked: boolean, pops: number): void {
  stack.setCodes(CODES[Ordering.unordered]);
  if (masked) for (let count = 0; count < pops; count++) stack.pop();
}

function finishCompare(
  stack: RegisterStack,
  a: F80,
  b: F80,
  signalling: boolean,
  pops: number,
): void {
  stack.setCodes(CODES[compare(FORMAT, stack.float, a, b, signalling)]);
  if (!stack.suppressed) for (let count = 0; count < pops; count++) stack.pop();
}

/** FCOM, FUCOM and their popping forms. */
export function registerCompare(
  stack: RegisterStack,
  source: number,
  signalling: boolean,
  pops: number,
): void {
  stack.begin();
  if (stack.isEmpty(0) || stack.isEmpty(source)) compareFault(stack, stack.fault(false), pops);
  else finishCompare(stack, stack.get(0), stack.get(source), signalling, pops);
  stack.end();
}

/** FTST: ST(0) against +0. */
export function testZero(stack: RegisterStack): void {
  stack.begin();
  if (stack.isEmpty(0)) compareFault(stack, stack.fault(false), 0);
  else finishCompare(stack, stack.get(0), FORMAT.zero(0), true, 0);
  stack.end();
}

/** FCOMI and FUCOMI; returns the new EFLAGS. */
export function compareToFlags(
  stack: RegisterStack,
  eflags: number,
  source: number,
  signalling: boolean,
  pop: boolean,
): number {
  stack.beginKeepingC1();
  let ordering: OrderingResult = Ordering.unordered;
  let masked = true;
  if (stack.isEmpty(0) || stack.isEmpty(source)) masked = stack.fault(false);
  else {
    ordering = compare(FORMAT, stack.float, stack.get(0), stack.get(source), signalling);
    masked = !stack.suppressed;
  }
  if (pop && masked) stack.pop();
  stack.end();
  return (eflags & ~EFLAGS_WRITTEN) | EFLAGS[ordering];
}
