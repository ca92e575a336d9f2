import { Flag, Register, Segment } from "../state/layout.ts";
import { i32, i64, select } from "../wasm/index.ts";
import type { I32, I64, Int, Place } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext, Width } from "./context.ts";
import { setSubFlags, zeroFlag } from "./flags.ts";
import { add, constant, eq, eqz, ge_u, sub, toI32, toI64 } from "./integer-ops.ts";

/** The width of one element, in bits. */
function elementWidth(s: InstructionContext): Width {
  const operand = s.shape.operands.find(({ class: kind }) => kind === "memory");
  return operand?.bits as Width;
}

/** The index register masked to the address size, as an offset. */
function index(s: InstructionContext, register: number): I64 {
  return toI64(s.registerPart(register, s.shape.addressSize));
}

/** Bytes to move the index registers by: negative with DF set. */
function step(s: InstructionContext, bytes: number): I32 {
  const down = i32.and(s.systemFlags(), i32.const(Flag.Df));
  return select(down, i32.const(-bytes), i32.const(bytes));
}

function advance(s: InstructionContext, register: number, by: Int): void {
  const width = s.shape.addressSize;
  const old = s.registerPart(register, width);
  s.setRegister(register, width, add(old, width === 64 ? toSigned64(by) : toI32(by)));
}

const toSigned64 = (value: Int): I64 => (value.type === "i64" ? value : i64.extend_i32_s(value));

/** Leaves when rCX is zero; only then nothing is accessed. */
function stopAtZero(s: InstructionContext): void {
  if (s.shape.repeat === "") return;
  s.f.if(eqz(s.registerPart(Register.Rcx, s.shape.addressSize)), () => s.done());
}

/** Counts rCX down by `rounds` and goes round again while it is not zero and `also` holds. */
function repeatWhile(s: InstructionContext, rounds: Int, also?: I32): void {
  if (s.shape.repeat === "") return;
  const width = s.shape.addressSize;
  const by = width === 64 ? rounds : toI32(rounds);
  const left = s.f.let(sub(s.registerPart(Register.Rcx, width), by));
  s.setRegister(Register.Rcx, width, left);
  const more = i32.eqz(eqz(width === 16 ? i32.and(toI32(left), i32.const(0xffff)) : left));
  s.f.if(also === undefined ? more : i32.and(more, also), () => s.again());
}

const one = (s: InstructionContext): Int => constant(s.shape.addressSize, 1);

/** Whether a translation is the bounce buffer: the access is not plain RAM inside one page. */
function bounced(s: InstructionContext, place: Place): I32 {
  const bounce = s.f.let(s.bounceOffset());
  return eq(place, bounce);
}

/** How much one round handles, if several elements are allowed: elements, their bytes, and the bytes that it may write. */
interface Round {
  readonly allowed: I32;
  readonly count: I64;
  readonly length: I32;
  readonly reach: I32;
}

/**
 * A round goes up to the ends of the pages that the addresses lie in, and rCX. It is more than one element with DF clear and
 * flat segments; others' limits are checked element by element. A round counts as one instruction, so that nothing but the
 * guest's own state may decide how long it is.
 */
function roundOf(
  s: InstructionContext,
  bytes: number,
  addresses: readonly I64[],
  flat: readonly I32[],
): Round {
  let most: I64 = index(s, Register.Rcx);
  for (const address of addresses) {
    const room = i64.sub(i64.const(4096), i64.and(address, i64.const(4095)));
    const elements = s.f.let(i64.shr_u(room, i64.const(Math.log2(bytes))));
    const kept = s.f.let(most);
    most = select(i64.lt_u(kept, elements), kept, elements);
  }
  const count = s.f.let(most);
  const length = s.f.let(i32.shl(i32.wrap_i64(count), i32.const(Math.log2(bytes))));
  // An element may cross into the next page: then it goes by the bounce buffer.
  const unknown = flat.filter(({ constant }) => constant === undefined);
  const allowed = s.f.let([forwards(s), ...unknown].reduce((all, each) => i32.and(all, each)));
  const reach = s.f.let(select(allowed, length, i32.const(bytes)));
  return { allowed, count, length, reach };
}

const bulkAllowed = (s: InstructionContext): boolean =>
  s.shape.repeat !== "" && s.shape.addressSize === (s.shape.long ? 64 : 32);

/** DF clear; and TF, which traps after each element. */
const forwards = (s: InstructionContext): I32 =>
  i32.eqz(i32.and(s.systemFlags(), i32.const(Flag.Df | Flag.Tf)));

const movs: Description = {
  modal: true,
  string: true,
  describe(s) {
    const { f } = s;
    const width = elementWidth(s);
    const bytes = width / 8;
    stopAtZero(s);
    const from = f.let(s.linear("operand", index(s, Register.Rsi), bytes, false));
    const to = f.let(s.linear(Segment.Es, index(s, Register.Rdi), bytes, true));
    const source = f.let(s.translate(from, bytes, "read"));
    // The write's translation may use the bounce buffer too: keep the value first.
    const value = f.let(loadPlace(width, source));
    const round = bulkAllowed(s)
      ? roundOf(s, bytes, [from, to], [s.isFlat("operand", false), s.isFlat(Segment.Es, true)])
      : undefined;
    const destination = f.let(s.translate(to, bytes, "write", round?.reach));
    if (round !== undefined) {
      const { allowed, count, length } = round;
      const plain = i32.eqz(i32.or(bounced(s, source), bounced(s, destination)));
      f.if(i32.and(plain, allowed), () => {
        // Moving up into what is still to be read repeats a pattern: element by element.
        const apart = sub(destination, source);
        const least = apart.type === "i64" ? i64.extend_i32_u(length) : length;
        f.if(ge_u(apart, least), () => {
          f.memoryCopy(destination, source, length);
          const distance = f.let(i64.extend_i32_u(length));
          advance(s, Register.Rsi, distance);
          advance(s, Register.Rdi, distance);
          repeatWhile(s, count);
          s.done();
        });
      });
    }
    storePlace(s, width, destination, value);
    s.finishWrite(destination);
    const by = f.let(step(s, bytes));
    advance(s, Register.Rsi, by);
    advance(s, Register.Rdi, by);
    repeatWhile(s, one(s));
  },
};

const stos: Description = {
  modal: true,
  string: true,
  describe(s) {
    const { f } = s;
    const width = elementWidth(s);
    const bytes = width / 8;
    stopAtZero(s);
    const to = f.let(s.linear(Segment.Es, index(s, Register.Rdi), bytes, true));
    const value = f.let(s.registerPart(Register.Rax, width));
    const round = bulkAllowed(s)
      ? roundOf(s, bytes, [to], [s.isFlat(Segment.Es, true)])
      : undefined;
    const destination = f.let(s.translate(to, bytes, "write", round?.reach));
    if (round !== undefined) {
      const { allowed, count, length } = round;
      const byte = toI32(s.registerPart(Register.Rax, 8));
      const pattern =
        width === 64
          ? i64.mul(i64.extend_i32_u(byte), i64.const(0x0101010101010101n))
          : i32.and(i32.mul(byte, i32.const(0x01010101)), i32.const(2 ** width - 1));
      const uniform = eq(value, pattern);
      const plain = i32.and(i32.eqz(bounced(s, destination)), uniform);
      f.if(i32.and(plain, allowed), () => {
        f.memoryFill(destination, toI32(s.registerPart(Register.Rax, 8)), length);
        advance(s, Register.Rdi, f.let(i64.extend_i32_u(length)));
        repeatWhile(s, count);
        s.done();
      });
    }
    storePlace(s, width, destination, value);
    s.finishWrite(destination);
    advance(s, Register.Rdi, f.let(step(s, bytes)));
    repeatWhile(s, one(s));
  },
};

const lods: Description = {
  group: "rare",
  modal: true,
  string: true,
  describe(s) {
    const width = elementWidth(s);
    stopAtZero(s);
    const from = s.f.let(s.linear("operand", index(s, Register.Rsi), width / 8, false));
    s.setRegister(Register.Rax, width, s.load(width, from));
    advance(s, Register.Rsi, s.f.let(step(s, width / 8)));
    repeatWhile(s, one(s));
  },
};

const scas: Description = {
  group: "rare",
  modal: true,
  string: true,
  describe(s) {
    const { f } = s;
    const width = elementWidth(s);
    stopAtZero(s);
    const at = f.let(s.linear(Segment.Es, index(s, Register.Rdi), width / 8, false));
    const value = f.let(s.load(width, at));
    compareElements(s, width, f.let(s.registerPart(Register.Rax, width)), value);
    advance(s, Register.Rdi, f.let(step(s, width / 8)));
    repeatWhile(s, one(s), whileEqual(s));
  },
};

const cmps: Description = {
  group: "rare",
  modal: true,
  string: true,
  describe(s) {
    const { f } = s;
    const width = elementWidth(s);
    stopAtZero(s);
    const from = f.let(s.linear("operand", index(s, Register.Rsi), width / 8, false));
    const at = f.let(s.linear(Segment.Es, index(s, Register.Rdi), width / 8, false));
    // Where both fault it is the destination's fault that counts.
    const second = f.let(s.load(width, at));
    const first = f.let(s.load(width, from));
    compareElements(s, width, first, second);
    const by = f.let(step(s, width / 8));
    advance(s, Register.Rsi, by);
    advance(s, Register.Rdi, by);
    repeatWhile(s, one(s), whileEqual(s));
  },
};

function compareElements(s: InstructionContext, width: Width, a: Int, b: Int): void {
  setSubFlags(s, width, a, b, s.f.let(sub(a, b)));
}

function whileEqual(s: InstructionContext): I32 {
  return s.shape.repeat === "repne" ? i32.eqz(zeroFlag(s)) : zeroFlag(s);
}

function loadPlace(width: Width, place: Place): Int {
  if (width === 64) return i64.load(place);
  if (width === 32) return i32.load(place);
  return width === 16 ? i32.load16_u(place) : i32.load8_u(place);
}

function storePlace(s: InstructionContext, width: Width, place: Place, value: Int): void {
  const { store } = s.f;
  if (width === 64) store.i64(place, toI64(value));
  else if (width === 32) store.i32(place, toI32(value));
  else if (width === 16) store.i32_16(place, toI32(value));
  else store.i32_8(place, toI32(value));
}

/** String instructions but INS and OUTS (Intel SDM vol. 1, 5.1.8), each round interruptible. */
export const string: Descriptions = { movs, stos, lods, scas, cmps };
