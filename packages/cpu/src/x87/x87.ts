/** The x87 FPU: every instruction of D8–DF (SDM vol. 1, chapter 8; vol. 2, appendix A.5). */
import {
  compareToFlags,
  memoryArithmetic,
  registerArithmetic,
  registerCompare,
  testZero,
} from "./arithmetic-forms.ts";
import {
  environmentSize,
  loadEnvironment,
  loadStack,
  storeEnvironment,
  storeStack,
} from "./environment.ts";
import type { EnvironmentLayout } from "./environment.ts";
import {
  DECIMAL,
  DOUBLE,
  EXTENDED,
  INTEGERS,
  SINGLE,
  TRUNCATED,
  load,
  store,
} from "./memory-forms.ts";
import type { MemoryFormat } from "./memory-forms.ts";
import { X87_OPERANDS } from "./operands.ts";
import { Status, initialize, storableControlWord, summarize } from "./registers.ts";
import type { X87Registers } from "./registers.ts";
import {
  TRANSCENDENTAL_FORMS,
  changeSign,
  examine,
  exchange,
  free,
  loadConstant,
  loadRegister,
  moveIf,
  rotate,
  storeRegister,
} from "./register-forms.ts";
import { RegisterStack } from "./stack.ts";

/** What the caller has to do after {@link X87.execute}. */
export const X87Outcome = {
  /** Nothing more. */
  done: 0,
  /** Write the operand's bytes to memory. */
  store: 1,
  /** Copy {@link X87.ax} to AX. */
  storeAx: 2,
  /** Copy {@link X87.eflags} to EFLAGS. */
  storeFlags: 3,
  /** An earlier unmasked exception is pending: raise #MF, nothing was changed. */
  pending: 4,
  /** Raise #UD, nothing was changed. */
  undefinedOpcode: 5,
} as const;

/** A value of {@link X87Outcome}. */
export type X87OutcomeCode = (typeof X87Outcome)[keyof typeof X87Outcome];

/** Where the instruction and its operand are, for FIP and FDP. */
export interface X87Location {
  codeSelector: number;
  /** Offset of the first byte, prefixes included. */
  instructionPointer: bigint;
  dataSelector: number;
  dataPointer: bigint;
}

/** What the mnemonic of each opcode reads or writes by default. */
const ARITHMETIC_FORMATS: readonly (MemoryFormat | undefined)[] = [
  SINGLE,
  undefined,
  INTEGERS[32],
  undefined,
  DOUBLE,
  undefined,
  INTEGERS[16],
];

type Transfer = readonly [MemoryFormat, "load" | "store" | "pop"];

/** Loads and stores, `8 * opcode + reg`. */
const TRANSFERS: ReadonlyMap<number, Transfer> = new Map<number, Transfer>([
  [0o10, [SINGLE, "load"]],
  [0o12, [SINGLE, "store"]],
  [0o13, [SINGLE, "pop"]],
  [0o30, [INTEGERS[32], "load"]],
  [0o31, [TRUNCATED[32], "pop"]],
  [0o32, [INTEGERS[32], "store"]],
  [0o33, [INTEGERS[32], "pop"]],
  [0o35, [EXTENDED, "load"]],
  [0o37, [EXTENDED, "pop"]],
  [0o50, [DOUBLE, "load"]],
  [0o51, [TRUNCATED[64], "pop"]],
  [0o52, [DOUBLE, "store"]],
  [0o53, [DOUBLE, "pop"]],
  [0o70, [INTEGERS[16], "load"]],
  [0o71, [TRUNCATED[16], "pop"]],
  [0o72, [INTEGERS[16], "store"]],
  [0o73, [INTEGERS[16], "pop"]],
  [0o74, [DECIMAL, "load"]],
  [0o75, [INTEGERS[64], "load"]],
  [0o76, [DECIMAL, "pop"]],
  [0o77, [INTEGERS[64], "pop"]],
]);

/** Reserved register forms (#UD), as `[opcode, first, last]` ModRM. */
const RESERVED: readonly (readonly [number, number, number])[] = [
  [1, 0xd1, 0xd7],
  [1, 0xe2, 0xe3],
  [1, 0xe6, 0xe7],
  [1, 0xef, 0xef],
  [2, 0xe0, 0xe8],
  [2, 0xea, 0xff],
  [3, 0xe5, 0xe7],
  [3, 0xf8, 0xff],
  [5, 0xf0, 0xff],
  [6, 0xd8, 0xd8],
  [6, 0xda, 0xdf],
  [7, 0xe1, 0xe7],
  [7, 0xf8, 0xff],
];

/** By `opcode << 8 | modrm`: 1 for instructions. */
const DEFINED = Uint8Array.from({ length: 0x800 }, (_, index) => {
  const opcode = index >> 8;
  const modrm = index & 0xff;
  if (modrm < 0xc0) return X87_OPERANDS[(opcode << 3) | ((modrm >> 3) & 7)] === undefined ? 0 : 1;
  const reserved = ([op, first, last]: readonly [number, number, number]): boolean =>
    op === opcode && modrm >= first && modrm <= last;
  return RESERVED.some(reserved) ? 0 : 1;
});

/** Whether `modrm` with `opcode` (0 for D8) is an instruction at all. */
export function isX87Instruction(opcode: number, modrm: number): boolean {
  return DEFINED[(opcode << 8) | modrm] === 1;
}

/** FNINIT, FNCLEX, FNSTSW, FNSTCW, FNSTENV, FNSAVE and the 80287's leftovers do not wait for pending exceptions. */
function isWaiting(opcode: number, modrm: number): boolean {
  const reg = (modrm >> 3) & 7;
  if (modrm < 0xc0) {
    return !((opcode === 1 && reg >= 6) || (opcode === 5 && reg >= 6));
  }
  return !((opcode === 3 && modrm >= 0xe0 && modrm <= 0xe4) || (opcode === 7 && modrm === 0xe0));
}

/** The x87 over registers of the caller's. */
export class X87 {
  readonly registers: X87Registers;
  /** The memory operand's bytes: filled by the caller before a load, to be written out after {@link X87Outcome}.store. */
  readonly operand: DataView = new DataView(new ArrayBuffer(128));
  /** Layout of environments; set before FLDENV, FNSTENV, FNSAVE and FRSTOR. */
  layout: EnvironmentLayout = { operandSize: 32, realAddresses: false };
  /** Set before each instruction that may fault. */
  readonly location: X87Location = {
    codeSelector: 0,
    instructionPointer: 0n,
    dataSelector: 0,
    dataPointer: 0n,
  };
  /** Read by FCMOVcc, written by FCOMI and FUCOMI. */
  eflags = 0;
  /** Written by FNSTSW AX. */
  ax = 0;
  readonly #stack: RegisterStack;

  constructor(registers: X87Registers) {
    this.registers = registers;
    this.#stack = new RegisterStack(registers);
  }

  /** Whether an unmasked exception waits to be reported: FWAIT and MMX instructions then raise #MF. */
  get pending(): boolean {
    return (this.registers.statusWord & Status.errorSummary) !== 0;
  }

  /**
   * Whether the instruction would raise #MF for an earlier exception. To be asked before the memory operand is
   * touched, for #MF comes before page faults.
   */
  isPending(opcode: number, modrm: number): boolean {
    return this.pending && isX87Instruction(opcode, modrm) && isWaiting(opcode, modrm);
  }

  /**
   * Executes one instruction: `opcode` 0 for D8 … 7 for DF. The operand's access and size are in
   * {@link X87_OPERANDS}; the caller has checked that it can be read or written, so that nothing faults later.
   */
  execute(opcode: number, modrm: number): X87OutcomeCode {
    if (!isX87Instruction(opcode, modrm)) return X87Outcome.undefinedOpcode;
    if (this.isPending(opcode, modrm)) return X87Outcome.pending;
    return modrm < 0xc0
      ? this.#memory(opcode, (modrm >> 3) & 7, modrm)
      : this.#register(opcode, modrm);
  }

  #record(opcode: number, modrm: number, memory: boolean): void {
    const { registers, location } = this;
    registers.opcode = (opcode << 8) | modrm;
    registers.codeSelector = location.codeSelector;
    registers.instructionPointer = location.instructionPointer;
    registers.dataSelector = memory ? location.dataSelector : 0;
    registers.dataPointer = memory ? location.dataPointer : 0n;
  }

  #memory(opcode: number, reg: number, modrm: number): X87OutcomeCode {
    const { operand, registers } = this;
    const stack = this.#stack;
    const arithmetic = ARITHMETIC_FORMATS[opcode];
    if (arithmetic !== undefined) {
      this.#record(opcode, modrm, true);
      memoryArithmetic(stack, reg, (status) =>
        (arithmetic.readOperand ?? arithmetic.read)(operand, status),
      );
      return X87Outcome.done;
    }
    const transfer = TRANSFERS.get((opcode << 3) | reg);
    if (transfer !== undefined) {
      const [format, kind] = transfer;
      this.#record(opcode, modrm, true);
      if (kind === "load") {
        load(stack, format, operand);
        return X87Outcome.done;
      }
      return store(stack, format, operand, kind === "pop") ? X87Outcome.store : X87Outcome.done;
    }
    if (opcode === 1) {
      switch (reg) {
        case 4:
          loadEnvironment(registers, operand, this.layout);
          return X87Outcome.done;
        case 5:
          registers.controlWord = storableControlWord(operand.getUint16(0, true));
          registers.statusWord = summarize(registers.statusWord, registers.controlWord);
          return X87Outcome.done;
        case 6:
          storeEnvironment(registers, operand, this.layout);
          registers.controlWord |= 0x3f;
          registers.statusWord = summarize(registers.statusWord, registers.controlWord);
          return X87Outcome.store;
        default:
          operand.setUint16(0, registers.controlWord, true);
          return X87Outcome.store;
      }
    }
    const size = environmentSize(this.layout);
    switch (reg) {
      case 4:
        loadEnvironment(registers, operand, this.layout);
        loadStack(registers, operand, size, 10);
        return X87Outcome.done;
      case 6:
        storeEnvironment(registers, operand, this.layout);
        storeStack(registers, operand, size, 10);
        initialize(registers);
        return X87Outcome.store;
      default:
        operand.setUint16(0, registers.statusWord, true);
        return X87Outcome.store;
    }
  }

  #register(opcode: number, modrm: number): X87OutcomeCode {
    const stack = this.#stack;
    const reg = (modrm >> 3) & 7;
    const index = modrm & 7;
    if (opcode === 3 && reg === 4) return this.#control(index);
    if (opcode === 7 && modrm === 0xe0) {
      this.ax = this.registers.statusWord;
      return X87Outcome.storeAx;
    }
    this.#record(opcode, modrm, false);
    switch (opcode) {
      case 0:
        if (reg === 2 || reg === 3) registerCompare(stack, index, true, reg - 2);
        else registerArithmetic(stack, reg, 0, index, false);
        break;
      case 1:
        this.#nine(reg, index, modrm);
        break;
      case 2:
        if (reg === 5) registerCompare(stack, 1, false, 2);
        else moveIf(stack, index, this.#condition(reg));
        break;
      case 3:
        if (reg < 4) {
          moveIf(stack, index, !this.#condition(reg));
          break;
        }
        this.eflags = compareToFlags(stack, this.eflags, index, reg === 6, false);
        return X87Outcome.storeFlags;
      case 4:
        if (reg === 2 || reg === 3) registerCompare(stack, index, true, reg - 2);
        // DC and DE name subtraction and division the other way round.
        else registerArithmetic(stack, reg < 4 ? reg : reg ^ 1, index, 0, false);
        break;
      case 5:
        if (reg === 0) free(stack, index, false);
        else if (reg === 1) exchange(stack, index);
        else if (reg < 4) storeRegister(stack, index, reg === 3);
        else registerCompare(stack, index, false, reg - 4);
        break;
      case 6:
        if (reg === 2) registerCompare(stack, index, true, 1);
        else if (reg === 3) registerCompare(stack, 1, true, 2);
        else registerArithmetic(stack, reg < 4 ? reg : reg ^ 1, index, 0, true);
        break;
      default:
        if (reg === 0) free(stack, index, true);
        else if (reg === 1) exchange(stack, index);
        else if (reg < 4) storeRegister(stack, index, true);
        else {
          this.eflags = compareToFlags(stack, this.eflags, index, reg === 6, true);
          return X87Outcome.storeFlags;
        }
    }
    return X87Outcome.done;
  }

  /** D9 C0–FF. */
  #nine(reg: number, index: number, modrm: number): void {
    const stack = this.#stack;
    if (reg === 0) loadRegister(stack, index);
    else if (reg === 1) exchange(stack, index);
    else if (reg === 3) {
      // This alias alone pops an empty register without a fault, and then stores nothing.
      if (stack.isEmpty(0)) rotate(stack, 1);
      else storeRegister(stack, index, true);
    } else if (reg === 5) loadConstant(stack, index);
    else if (reg >= 6) TRANSCENDENTAL_FORMS[modrm & 15]?.(stack);
    else if (modrm === 0xe4) testZero(stack);
    else if (modrm === 0xe5) examine(stack);
    else if (reg === 4) changeSign(stack, index === 0);
  }

  /** DB E0–E4: FENI, FDISI, FNCLEX, FNINIT, FSETPM; the first, second and last do nothing since the 387. */
  #control(index: number): X87OutcomeCode {
    if (index === 2) this.registers.statusWord &= 0x7f00;
    else if (index === 3) initialize(this.registers);
    return X87Outcome.done;
  }

  /** FCMOVB, E, BE, U. */
  #condition(reg: number): boolean {
    const mask = [0x01, 0x40, 0x41, 0x04][reg & 3] ?? 0;
    return (this.eflags & mask) !== 0;
  }
}
