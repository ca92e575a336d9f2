import { ONE_BYTE_OPCODES, TWO_BYTE_OPCODES } from "./general-opcodes.ts";
import { parseEntry, type OpcodeEntry } from "./opcode-entry.ts";
import { MMX_OPCODES, SSE4_OPCODES, SSE_OPCODES } from "./simd-opcodes.ts";
import { SYSTEM_OPCODES, VECTOR_OPCODES } from "./system-opcodes.ts";
import { X87_OPCODES } from "./x87-opcodes.ts";

/**
 * Every instruction form that the decoder knows, in table order: `OPCODES[id].id === id`. Decoder,
 * disassembler, interpreter, translator and tests are all keyed on these entries.
 */
export const OPCODES: readonly OpcodeEntry[] = [
  ...ONE_BYTE_OPCODES,
  ...TWO_BYTE_OPCODES,
  ...SYSTEM_OPCODES,
  ...X87_OPCODES,
  ...MMX_OPCODES,
  ...SSE_OPCODES,
  ...SSE4_OPCODES,
  ...VECTOR_OPCODES,
].map((row, id) => parseEntry(id, row));
