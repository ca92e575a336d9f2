/**
 * Where things are while an instance runs, and how instances and outcomes are written to the files that
 * host-oracle.c reads and writes. Linear addresses are the same on the host and in the emulated processor.
 */

/** Two pages of code, all HLT but for the instance; nothing is mapped around them. */
export const CODE = 0x1000_0000n;
export const CODE_BYTES = 8192;
/** Four pages of data; the last cannot be written. */
export const DATA = 0x2000_0000n;
export const DATA_BYTES = 16384;
export const WRITABLE_BYTES = 12288;
/** Two pages of stack. */
export const STACK = 0x3000_0000n;
export const STACK_BYTES = 8192;

/** Selectors as Linux gives them to programs. */
export const SELECTOR = { code32: 0x23, data: 0x2b, code64: 0x33 } as const;

/** Vectors that no exception has: the instance did not end; it ended the harness. */
export const TIMEOUT = 255;
export const KILLED = 254;

/** x87, MMX and SSE state, where it plays a part. */
export interface VectorState {
  /** xmm0–xmm15, 16 bytes each. */
  readonly xmm: Uint8Array;
  /** ST(0)–ST(7), 16 bytes each, of which 10 count. */
  readonly st: Uint8Array;
  readonly mxcsr: number;
  readonly control: number;
  readonly status: number;
  /** A bit for each physical register that is not empty. */
  readonly tags: number;
  readonly opcode: number;
  readonly ip: bigint;
  readonly dp: bigint;
}

/** One instruction and the state that it finds. */
export interface Instance {
  readonly mode: 32 | 64;
  readonly code: Uint8Array;
  /** Offset in the code pages. */
  readonly entry: number;
  readonly rflags: number;
  readonly registers: readonly bigint[];
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  /** Bytes put into data or stack before it runs. */
  readonly operandAddress: bigint;
  readonly operand: Uint8Array;
  readonly vectors?: VectorState;
}

/** The state at the fault that ended an instance. */
export interface Outcome {
  readonly vector: number;
  readonly error: number;
  readonly cr2: bigint;
  readonly rip: bigint;
  readonly rflags: number;
  readonly registers: readonly bigint[];
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  /** es, cs, ss, ds, fs, gs. */
  readonly selectors: readonly number[];
  /** How many bytes of memory changed, the first one's address, what changed in the first 48 (exclusive or), a digest of all. */
  readonly changed: number;
  readonly firstChanged: bigint;
  readonly bytes: Uint8Array;
  readonly digest: number;
  readonly vectors?: VectorState;
}

const HEADER_BYTES = 64;
const INPUT_BYTES = 256;
export const OUTPUT_BYTES = 256;
export const VECTOR_BYTES = 416;

function writeVectors(bytes: Uint8Array, view: DataView, at: number, v: VectorState): void {
  bytes.set(v.xmm, at);
  bytes.set(v.st, at + 256);
  view.setUint32(at + 384, v.mxcsr, true);
  view.setUint16(at + 388, v.control, true);
  view.setUint16(at + 390, v.status, true);
  view.setUint16(at + 392, v.tags, true);
  view.setUint16(at + 394, v.opcode, true);
  view.setBigUint64(at + 400, v.ip, true);
  view.setBigUint64(at + 408, v.dp, true);
}

function readVectors(bytes: Uint8Array, view: DataView, at: number): VectorState {
  return {
    xmm: bytes.slice(at, at + 256),
    st: bytes.slice(at + 256, at + 384),
    mxcsr: view.getUint32(at + 384, true),
    control: view.getUint16(at + 388, true),
    status: view.getUint16(at + 390, true),
    tags: view.getUint16(at + 392, true),
    opcode: view.getUint16(at + 394, true),
    ip: view.getBigUint64(at + 400, true),
    dp: view.getBigUint64(at + 408, true),
  };
}

/** The input file for some instances: all with vector state or all without. */
export function encodeInstances(image: Uint8Array, instances: readonly Instance[]): Uint8Array {
  const vectors = instances[0]?.vectors !== undefined;
  const stride = INPUT_BYTES + (vectors ? VECTOR_BYTES : 0);
  const start = HEADER_BYTES + image.length;
  const bytes = new Uint8Array(start + instances.length * stride);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, instances.length, true);
  view.setUint32(4, vectors ? 1 : 0, true);
  bytes.set(image, HEADER_BYTES);
  instances.forEach((instance, index) => {
    const at = start + index * stride;
    bytes[at] = instance.mode;
    bytes[at + 1] = instance.code.length;
    view.setUint16(at + 2, instance.entry, true);
    view.setUint32(at + 4, instance.operand.length, true);
    bytes.set(instance.code, at + 8);
    view.setBigUint64(at + 24, BigInt(instance.rflags), true);
    instance.registers.forEach((value, i) => view.setBigUint64(at + 32 + i * 8, value, true));
    view.setBigUint64(at + 160, instance.fsBase, true);
    view.setBigUint64(at + 168, instance.gsBase, true);
    view.setBigUint64(at + 176, instance.operandAddress, true);
    bytes.set(instance.operand, at + 184);
    if (instance.vectors !== undefined) {
      writeVectors(bytes, view, at + INPUT_BYTES, instance.vectors);
    }
  });
  return bytes;
}

/** Reads the outcomes of an output file. */
export function decodeOutcomes(bytes: Uint8Array, vectors: boolean): Outcome[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stride = OUTPUT_BYTES + (vectors ? VECTOR_BYTES : 0);
  return Array.from({ length: bytes.length / stride }, (_, index) => {
    const at = index * stride;
    const outcome: Outcome = {
      vector: bytes[at] as number,
      error: view.getUint32(at + 4, true),
      cr2: view.getBigUint64(at + 8, true),
      rip: view.getBigUint64(at + 16, true),
      rflags: view.getUint32(at + 24, true),
      registers: Array.from({ length: 16 }, (__, i) => view.getBigUint64(at + 32 + i * 8, true)),
      fsBase: view.getBigUint64(at + 160, true),
      gsBase: view.getBigUint64(at + 168, true),
      selectors: Array.from({ length: 6 }, (__, i) => view.getUint16(at + 176 + i * 2, true)),
      changed: view.getUint32(at + 188, true),
      firstChanged: view.getBigUint64(at + 192, true),
      bytes: bytes.slice(at + 200, at + 248),
      digest: view.getUint32(at + 248, true),
    };
    if (!vectors) return outcome;
    return { ...outcome, vectors: readVectors(bytes, view, at + OUTPUT_BYTES) };
  });
}
