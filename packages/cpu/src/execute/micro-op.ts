import { OPCODES } from "../isa/opcodes.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { State } from "../state/layout.ts";
import { Record, SIZES_LOCK, SIZES_MEMORY, SIZES_REP, SIZES_REPNE } from "../state/record.ts";

/** The instruction that a helper is asked to carry out, read from its record. One object, moved from record to record. */
export class MicroOp {
  record = 0;
  readonly #view: DataView;
  readonly #state: number;

  constructor(view: DataView, state: number) {
    this.#view = view;
    this.#state = state;
  }

  /** Number of the opcode table's row, or a `PseudoEntry`. */
  get entryId(): number {
    return this.#view.getUint16(this.record + Record.Entry, true);
  }

  get entry(): OpcodeEntry {
    return OPCODES[this.entryId] as OpcodeEntry;
  }

  /** Offset of the instruction in its page. */
  get inPage(): number {
    return this.#view.getUint16(this.record + Record.Offset, true);
  }

  get length(): number {
    return this.#view.getUint8(this.record + Record.InstructionLength);
  }

  /** Effective operand and address size in bits. */
  get operandSize(): 16 | 32 | 64 {
    return (8 << (this.#sizes & 3)) as 16 | 32 | 64;
  }

  get addressSize(): 16 | 32 | 64 {
    return (8 << ((this.#sizes >> 2) & 3)) as 16 | 32 | 64;
  }

  get rep(): boolean {
    return (this.#sizes & SIZES_REP) !== 0;
  }

  get repne(): boolean {
    return (this.#sizes & SIZES_REPNE) !== 0;
  }

  get lock(): boolean {
    return (this.#sizes & SIZES_LOCK) !== 0;
  }

  /** Whether the ModRM (or moffs) operand is in memory. */
  get memory(): boolean {
    return (this.#sizes & SIZES_MEMORY) !== 0;
  }

  /** Linear address of the memory operand. */
  get address(): bigint {
    return this.#view.getBigUint64(this.#state + State.OperandAddress, true);
  }

  /** Offset in the state of a register operand (general: from 0; vectors: from their file); a raw number for segment, control, debug and ST registers. */
  field(operand: number): number {
    return this.#view.getUint8(this.record + Record.A + operand);
  }

  /** Immediate, sign-extended, as its low 32 bits; for relative branches the target from the page's start. */
  get immediate(): number {
    return this.#view.getInt32(this.record + Record.Immediate, true);
  }

  get immediate64(): bigint {
    return this.#view.getBigInt64(this.record + Record.Immediate, true);
  }

  /** The second immediate: selector of a far pointer, nesting level of ENTER. */
  get immediate2(): number {
    return this.#view.getUint32(this.record + Record.Link, true);
  }

  /** Number of the segment of the memory operand or string source (`Segment.Null` in 64-bit mode unless FS or GS). */
  get segment(): number {
    return this.#view.getUint8(this.record + Record.Segment) >> 5;
  }

  /** Number of the base register of the memory operand; 16 for none. */
  get base(): number {
    return this.#view.getUint8(this.record + Record.Base) >> 3;
  }

  get #sizes(): number {
    return this.#view.getUint8(this.record + Record.Sizes);
  }
}
