import { BASE_RIP } from "../../src/decode/instruction.ts";
import type { OpcodeEntry } from "../../src/isa/opcode-entry.ts";
import { OPCODES } from "../../src/isa/opcodes.ts";
import { encode } from "../../src/isa/testing/encode.ts";
import type { EncodeRequest, EncodedInstruction } from "../../src/isa/testing/encode.ts";
import { randomMemory } from "../../src/isa/testing/encode-memory.ts";
import type { MemoryOperand } from "../../src/isa/testing/encode-memory.ts";
import type { Form } from "./forms.ts";
import { CODE, CODE_BYTES, DATA, DATA_BYTES, STACK, WRITABLE_BYTES } from "./layout.ts";
import type { Instance, VectorState } from "./layout.ts";
import type { Chooser } from "./values.ts";

/** RFLAGS bits that the return from a signal restores: CF PF AF ZF SF DF OF, and AC. */
const STATUS_AND_DIRECTION = 0xcd5;
const AC = 0x40000;

/** Null, kernel and user selectors that mean the same in the emulated surroundings. */
const SELECTORS = [0, 3, 0x08, 0x10, 0x18, 0x1b, 0x20, 0x23, 0x23, 0x28, 0x2b, 0x2b, 0x30, 0x33];

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);

/** Opcodes that mean something else under F2 or F3, offered or not: no repeat prefix there. */
const REPEAT_MATTERS = new Set(
  OPCODES.filter(({ prefixes }) => prefixes === 4 || prefixes === 8).map(
    ({ map, opcode }) => `${map} ${opcode}`,
  ),
);

/** An address for a memory operand: mostly plain, else across or beyond an edge. */
function targetAddress(chooser: Chooser, long: boolean): bigint {
  const near = BigInt(chooser.below(40));
  const end = DATA + BigInt(WRITABLE_BYTES);
  switch (chooser.below(24)) {
    case 0:
    case 1:
    case 2:
      return DATA + 4096n - near;
    case 3:
      return end - near;
    case 4:
      return end + BigInt(chooser.below(4000));
    case 5:
      return DATA + BigInt(DATA_BYTES) - near;
    case 6:
      return DATA - near;
    case 7:
      if (!long) return DATA + near;
      return chooser.pick([0x8000_0000_0000n - near, 0xffff_8000_0000_0000n - near, -near]);
    default: {
      const at = DATA + 64n + BigInt(chooser.below(WRITABLE_BYTES - 256));
      return chooser.oneIn(2) ? at & ~15n : at;
    }
  }
}

function stackAddress(chooser: Chooser, long: boolean): bigint {
  const near = BigInt(chooser.below(48));
  switch (chooser.below(16)) {
    case 0:
      return STACK + near;
    case 1:
      return STACK + 8192n - near;
    case 2:
    case 3:
      return STACK + 4096n + near - 24n;
    case 4:
      return STACK + 4096n + BigInt(chooser.below(1024) - 512);
    case 5:
      return long ? 0x8000_0000_0000n - near : STACK + 2048n;
    default:
      return STACK + 2048n + BigInt(chooser.below(512) * 8);
  }
}

/** Addresses that a return or indirect branch may go to. */
function branchTarget(chooser: Chooser): bigint {
  return chooser.pick([
    CODE + BigInt(CODE_BYTES),
    CODE + BigInt(chooser.below(256)),
    CODE + BigInt(CODE_BYTES) + BigInt(chooser.below(4096)),
    DATA + BigInt(chooser.below(256)),
    0x8000_0000_0000n,
    chooser.value(),
  ]);
}

function little(...parts: readonly (readonly [value: bigint | number, bytes: number])[]): number[] {
  return parts.flatMap(([value, bytes]) => {
    const wide = BigInt.asUintN(64, BigInt(value));
    return Array.from({ length: bytes }, (_, i) => Number((wide >> BigInt(8 * i)) & 0xffn));
  });
}

/** AMD processors do not refuse LOCK there (moves of control registers: another name of CR8). */
const LOCK_DIFFERS = /^ver[rw]$/;

/**
 * Instructions that touch the stack several times, or beside another check: which of two faults comes first, and what
 * was already loaded then, is the processor's choice. Their stack is plain memory.
 */
const PLAIN_STACK = /^(iret|retf|popa|call|jmp)$/;

/** Registers, memory operand and flags of one instance while they are being chosen. */
class Draft {
  readonly form: Form;
  readonly chooser: Chooser;
  readonly registers: bigint[];
  readonly long: boolean;
  segment: number | undefined;
  fsBase = 0n;
  gsBase = 0n;
  target: bigint;
  operandAddress: bigint;
  operand: number[] = [];

  constructor(form: Form, chooser: Chooser) {
    this.form = form;
    this.chooser = chooser;
    this.long = form.mode === 64;
    this.registers = Array.from({ length: 16 }, () => chooser.value());
    const plain =
      PLAIN_STACK.test(form.entry.mnemonic) && form.entry.operands[0]?.kind !== "relative";
    this.registers[RSP] = plain
      ? (STACK + 1024n + BigInt(chooser.below(6144))) &
        (chooser.oneIn(4) && form.entry.mnemonic !== "call" ? -1n : ~7n)
      : stackAddress(chooser, this.long);
    this.registers[RBP] = stackAddress(chooser, this.long);
    if (!this.long) {
      // Registers have no upper halves outside 64-bit mode, and r8–r15 are out of reach.
      for (let i = 0; i < 16; i++) this.registers[i] = this.low32(i);
    }
    this.target = targetAddress(chooser, this.long && form.addressSize === 64);
    if (takesSelector(form.entry)) {
      this.registers[RSP] = STACK + 4096n;
      // Where no selector of our choice could be put, the host's own descriptors would count.
      const far = DATA + BigInt(DATA_BYTES);
      this.target = (chooser.oneIn(6) ? far : DATA) + BigInt(chooser.below(8192));
    }
    this.operandAddress = this.target;
    if (chooser.oneIn(6)) this.segment = chooser.below(6);
    if (form.addressSize === 16 && chooser.oneIn(2)) this.segment = 4 + chooser.below(2);
    // AMD processors refuse an offset that is not canonical even where the base makes the address canonical.
    const based = this.target < 1n << 32n;
    if (based && chooser.oneIn(2)) this.fsBase = chooser.pick([DATA, 0x1000n]);
    if (based && chooser.oneIn(2)) this.gsBase = chooser.pick([DATA + 64n, STACK]);
    if (!this.long) {
      this.fsBase &= 0xffffffffn;
      this.gsBase &= 0xffffffffn;
    }
  }

  low32(register: number): bigint {
    return (this.registers[register] as bigint) & 0xffffffffn;
  }

  get segmentBase(): bigint {
    if (this.segment === 4) return this.fsBase;
    return this.segment === 5 ? this.gsBase : 0n;
  }

  /** The offset that leads to `target` in the segment in use. */
  get offset(): bigint {
    return wrap(this.target - this.segmentBase);
  }

  /** A register's value whose low bits are an offset, as the address size wants. */
  asAddress(value: bigint): bigint {
    const { addressSize } = this.form;
    if (!this.long) return BigInt.asUintN(32, value);
    if (addressSize === 64) return wrap(value);
    const garbage = this.chooser.oneIn(2) ? 0n : this.chooser.bits64() & ~0xffffffffn;
    return BigInt.asUintN(32, value) | garbage;
  }

  /** Chooses ModRM memory operand and registers so that it points at the target. */
  memory(): MemoryOperand {
    const { chooser, form } = this;
    const random = randomMemory(chooser.next, form.addressSize, form.mode);
    const plain = PLAIN_STACK.test(form.entry.mnemonic);
    const shape = plain && random.base === RSP ? { ...random, base: RBX } : random;
    if (form.addressSize === 16) {
      this.aimSegment(shape);
      return shape;
    }
    const { base, index, scale } = shape;
    if (base === BASE_RIP) return shape;
    const small = (shape.disp << 16) >> 16;
    if (index >= 0 && (index === base || base < 0 || chooser.oneIn(2))) {
      this.registers[index] = this.asAddress(BigInt(chooser.below(64)));
    }
    const times = index < 0 ? 0n : 1n << BigInt(scale);
    const indexPart = index < 0 ? 0n : (this.registers[index] as bigint) * times;
    if (base >= 0 && base !== index) {
      this.registers[base] = this.asAddress(this.offset - BigInt(small) - indexPart);
      return { ...shape, disp: small };
    }
    const both =
      base === index && index >= 0 ? indexPart + (this.registers[index] as bigint) : indexPart;
    const disp = Number(BigInt.asIntN(32, this.offset - both));
    return { ...shape, disp };
  }

  /** 16-bit addresses reach nothing by themselves; an FS or GS base may carry them to the target. */
  aimSegment(shape: MemoryOperand): void {
    if (this.segment !== 4 && this.segment !== 5) return;
    const part = (register: number): bigint =>
      register < 0 ? 0n : (this.registers[register] as bigint);
    let offset = (part(shape.base) + part(shape.index) + BigInt(shape.disp)) & 0xffffn;
    if (offset > 0xffc0n && this.form.entry.operands.some(({ width }) => /[aptenf]/.test(width))) {
      // Whether an operand of several parts wraps at 64 KiB is the processor's choice.
      for (const register of [shape.base, shape.index]) {
        if (register >= 0) this.registers[register] = 0x1000n;
      }
      offset = (part(shape.base) + part(shape.index) + BigInt(shape.disp)) & 0xffffn;
    }
    const base = BigInt.asUintN(32, this.target - offset);
    if (this.segment === 4) this.fsBase = base;
    else this.gsBase = base;
  }
}

/** Registers that instructions use without naming them. */
function chooseImplicit(draft: Draft, entry: OpcodeEntry): void {
  const { chooser, registers, long, form } = draft;
  const { mnemonic } = entry;
  const kinds = new Set(entry.operands.map(({ kind }) => kind));
  if (kinds.has("string-source") || kinds.has("string-destination")) {
    registers[RCX] = draft.asAddress(BigInt(chooser.pick([0, 1, 2, chooser.below(40), 5000])));
    registers[RSI] = draft.asAddress(draft.offset);
    const wild = chooser.oneIn(3)
      ? draft.target + BigInt(chooser.below(64) - 32)
      : targetAddress(chooser, long && form.addressSize === 64);
    // Of two faults of CMPS either may come first.
    const inside = draft.target >= DATA && draft.target < DATA + 8192n;
    const safe = mnemonic.startsWith("cmps") && !inside;
    const other = safe ? DATA + BigInt(chooser.below(8192)) : wild;
    registers[RDI] = draft.asAddress(other);
    if (chooser.oneIn(3)) registers[RAX] = (registers[RAX] as bigint) & 0xffn;
  }
  if (mnemonic.startsWith("mask")) registers[RDI] = draft.asAddress(draft.offset);
  if (mnemonic === "xlatb") {
    registers[RBX] = draft.asAddress(draft.offset - ((registers[RAX] as bigint) & 0xffn));
  }
  if (/^(loop|jcxz)/.test(mnemonic)) {
    registers[RCX] = draft.asAddress(BigInt(chooser.below(3)) + (chooser.value() << 32n));
  }
  if (/^(sh|sa|ro|rc)/.test(mnemonic) && chooser.oneIn(2)) {
    registers[RCX] = BigInt(chooser.below(70)) | (long ? chooser.value() & ~0xffn : 0n);
  }
  if (/^i?div$/.test(mnemonic)) {
    const rax = registers[RAX] as bigint;
    const sign = BigInt.asIntN(form.operandSize, rax) < 0n ? -1n : 0n;
    const rdx = chooser.pick([0n, sign, BigInt(chooser.below(3)), registers[RDX] as bigint]);
    registers[RDX] = BigInt.asUintN(long ? 64 : 32, rdx);
    if (entry.operands[0]?.width === "b" && chooser.oneIn(2)) registers[RAX] = rax & ~0xf000n;
  }
  if (mnemonic.startsWith("bt") && form.form === "mem" && chooser.oneIn(2)) {
    for (let i = 0; i < 16; i++) {
      if (i === RSP || !chooser.oneIn(2)) continue;
      const bit = BigInt.asIntN(form.operandSize, BigInt(chooser.below(4096) - 2048));
      registers[i] = BigInt.asUintN(long ? 64 : 32, bit);
    }
  }
  if (takesSelector(entry)) {
    for (let i = 0; i < 16; i++) {
      if (i === RSP) continue;
      registers[i] = ((registers[i] as bigint) & ~0xffffn) | BigInt(chooser.pick(SELECTORS));
    }
  }
  if (/^(call|jmp)$/.test(mnemonic) && form.form === "reg") {
    for (let i = 0; i < 16; i++) {
      if (i === RSP || chooser.oneIn(4)) continue;
      registers[i] = BigInt.asUintN(long ? 64 : 32, branchTarget(chooser));
    }
  }
}

function takesSelector(entry: OpcodeEntry): boolean {
  if (/^(lar|lsl|verr|verw|arpl)$/.test(entry.mnemonic)) return true;
  return entry.mnemonic === "mov" && entry.operands[0]?.kind === "segment";
}

/** What lies at the memory operand, or on the stack where the instruction pops. */
function chooseOperand(draft: Draft, entry: OpcodeEntry): void {
  const { chooser, registers, form, long } = draft;
  const { mnemonic } = entry;
  // ARPL and POP read before they find that the code segment cannot be written, or do not get so far.
  if (/^(arpl|pop)$/.test(mnemonic) && draft.segment === 1) draft.segment = undefined;
  const bytes = form.operandSize / 8;
  const selector = (): number => chooser.pick(SELECTORS);
  const far = entry.operands.some(({ width }) => width === "p");
  const popped = /^(ret|retf|iret|popf|pop|popa|leave)$/.test(mnemonic) && !(mnemonic === "leave");
  if (popped) {
    draft.operandAddress = registers[RSP] as bigint;
    const flags = chooser.next() & 0x247fd5;
    const target = branchTarget(chooser);
    // Whether a bad address or a bad stack segment counts first is the processor's choice.
    const sane = target < 1n << 30n;
    const frame: readonly (readonly [bigint | number, number])[] =
      mnemonic === "pop" && entry.operands[0]?.kind === "fixed-segment"
        ? [[selector(), bytes]]
        : mnemonic === "popf"
          ? [[chooser.next() & (chooser.oneIn(2) ? 0xffffffff : 0x247ed5), bytes]]
          : /^(ret|retf|iret)$/.test(mnemonic)
            ? [
                [target, bytes],
                [selector(), bytes],
                [mnemonic === "iret" ? flags : stackAddress(chooser, long), bytes],
                [mnemonic === "iret" ? stackAddress(chooser, long) : selector(), bytes],
                [sane && chooser.oneIn(2) ? selector() : 0x2b, bytes],
              ]
            : [];
    draft.operand = little(...frame);
    return;
  }
  if (far) {
    draft.operand = little([branchTarget(chooser), bytes], [selector(), 2]);
    return;
  }
  if (/^(call|jmp)$/.test(mnemonic)) {
    draft.operand = little([branchTarget(chooser), 8]);
    return;
  }
  if (takesSelector(entry)) {
    draft.operand = little([selector(), 2]);
    return;
  }
  draft.operand = little([chooser.value(), 8], [chooser.value(), 8]);
  // AMD processors have MXCSR.MM, bit 17, which others refuse.
  if (mnemonic === "ldmxcsr") draft.operand[2] = (draft.operand[2] as number) & ~2;
  if (mnemonic.startsWith("cmpxchg") && chooser.oneIn(2)) {
    const half = /^cmpxchg\d/.test(mnemonic) && bytes === 4 ? 4 : 8;
    draft.operand = little([registers[RAX] as bigint, half], [registers[RDX] as bigint, half]);
  }
}

/** Relative distances: to the edges of the code, rarely far, never back into the instruction itself. */
function chooseImmediate(draft: Draft, entry: OpcodeEntry): bigint | undefined {
  const { chooser } = draft;
  if (entry.operands.some(({ kind }) => kind === "relative")) {
    const distance = chooser.pick([
      0n,
      1n,
      BigInt(chooser.below(127)),
      -16n - BigInt(chooser.below(112)),
      BigInt(chooser.next() | 0),
    ]);
    return distance < 0n && distance > -16n ? 1n : distance;
  }
  if (entry.mnemonic === "int") {
    const vector = chooser.oneIn(3) ? chooser.pick([0, 1, 3, 4, 14]) : chooser.below(256);
    return BigInt(vector === 0x80 ? 3 : vector);
  }
  if (entry.mnemonic === "enter") return BigInt(chooser.pick([0, 8, 64, chooser.below(65536)]));
  if (entry.mnemonic === "ret" || entry.mnemonic === "retf") {
    const far = entry.mnemonic === "retf";
    return BigInt(chooser.pick([0, 8, far ? 16 : 1, far ? 24 : chooser.below(65536)]));
  }
  if (entry.operands.some(({ kind }) => kind === "far-pointer")) {
    return branchTarget(chooser) & 0xffffffffn;
  }
  return undefined;
}

/** Where in the code pages an instruction lies, and how much of it is there. */
function chooseEntry(chooser: Chooser, length: number): number {
  switch (chooser.below(20)) {
    case 0:
    case 1:
    case 2:
      return chooser.below(CODE_BYTES - 32);
    case 3:
    case 4:
      return 4096 - chooser.below(length);
    case 5:
      return chooser.oneIn(2) ? CODE_BYTES - 1 - chooser.below(length) : 4096 - length;
    default:
      return CODE_BYTES - length;
  }
}

/** Encodes with numbers that are remembered, so that the same instance can be had with another displacement. */
function encodeAimed(
  form: Form,
  request: EncodeRequest,
  draft: Draft,
  entryOf: (length: number) => number,
): { encoded: EncodedInstruction; entry: number } {
  const tape: number[] = [];
  const first = encode(form.entry, request, () => {
    const number = draft.chooser.next();
    tape.push(number);
    return number;
  });
  const entry = entryOf(first.bytes.length);
  if (request.memory?.base !== BASE_RIP) return { encoded: first, entry };
  const next = CODE + BigInt(entry + first.bytes.length);
  const disp = Number(BigInt.asIntN(32, draft.offset - next));
  let at = 0;
  const again = encode(
    form.entry,
    { ...request, memory: { ...request.memory, disp } },
    () => tape[at++] as number,
  );
  return { encoded: again, entry };
}

/** A random instance of a form. `vectors` gives the x87 and SSE state where it plays a part. */
export function generate(form: Form, chooser: Chooser, vectors?: () => VectorState): Instance {
  const { entry, mode, vendor, operandSize, addressSize } = form;
  const draft = new Draft(form, chooser);
  chooseImplicit(draft, entry);
  const hasModrm = form.form !== "none";
  const memory = form.form === "mem" ? draft.memory() : undefined;
  chooseOperand(draft, entry);
  const repeatable = !REPEAT_MATTERS.has(`${entry.map} ${entry.opcode}`) && entry.prefixes === 15;
  const string = entry.operands.some(({ kind }) => kind.startsWith("string"));
  const lockable = entry.lock && form.form === "mem";
  // AMD processors let F2 and F3 replace the condition of LOOPcc.
  const loop = /^loope|^loopne/.test(entry.mnemonic);
  const wantsRepeat =
    repeatable && !loop && !isVectorForm(entry) && (string ? !chooser.oneIn(3) : chooser.oneIn(16));
  const immediate = chooseImmediate(draft, entry);
  const request: EncodeRequest = {
    mode,
    vendor,
    operandSize,
    addressSize,
    ...(hasModrm ? { form: form.form } : {}),
    ...(memory === undefined ? {} : { memory }),
    ...(draft.segment === undefined ? {} : { segment: draft.segment }),
    ...(immediate === undefined ? {} : { immediate }),
    ...(entry.operands.some(({ kind }) => kind === "far-pointer")
      ? { immediate2: chooser.pick(SELECTORS) }
      : {}),
    offset: draft.offset,
    rex: mode === 64 && chooser.oneIn(8),
    lock: lockable
      ? chooser.oneIn(3)
      : !LOCK_DIFFERS.test(entry.mnemonic) && !entry.modIgnored && chooser.oneIn(64),
    ...(wantsRepeat ? { repeat: chooser.oneIn(2) ? ("rep" as const) : ("repne" as const) } : {}),
  };
  const { encoded, entry: at } = encodeAimed(form, request, draft, (length) =>
    chooseEntry(chooser, length),
  );
  const accumulates = chooser.oneIn(8) ? AC : 0;
  // AMD processors refuse UD1 without looking for the bytes of its operand.
  const cut = encoded.bytes.length > CODE_BYTES - at;
  const start = cut && entry.mnemonic === "ud1" ? 0 : at;
  return {
    mode,
    code: encoded.bytes.subarray(0, CODE_BYTES - start),
    entry: start,
    rflags:
      (chooser.next() & (STATUS_AND_DIRECTION & ~0x400)) |
      (chooser.oneIn(3) ? 0x400 : 0) |
      accumulates |
      2,
    registers: draft.registers,
    fsBase: draft.fsBase,
    gsBase: draft.gsBase,
    operandAddress: wrap(draft.operandAddress),
    operand: Uint8Array.from(draft.operand),
    ...(vectors === undefined ? {} : { vectors: vectors() }),
  };
}

const isVectorForm = (entry: OpcodeEntry): boolean =>
  entry.operands.some(({ kind }) => /^(xmm|mmx|st\d?$)/.test(kind));
