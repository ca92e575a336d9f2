/** Kernels of a few 32-bit instructions, for tests: pieces of machine code to be put one after another. */

/** Where they are loaded. */
export const LOAD_ADDRESS = 0x10_0000;
/** A double word of RAM that no piece uses by itself. */
export const SCRATCH = 0x8000;

type Piece = number | readonly number[];

const code = (...pieces: readonly Piece[]): number[] => pieces.flat();
const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const long = (value: number): number[] => code(word(value), word(value >>> 16));
/** mov dx, port */
const portInDx = (port: number): number[] => code(0x66, 0xba, word(port));

/** OUT of a byte. */
export const out8 = (port: number, value: number): number[] =>
  code(portInDx(port), 0xb0, value, 0xee);

/** OUT of 16 bits. */
export const out16 = (port: number, value: number): number[] =>
  code(portInDx(port), 0x66, 0xb8, word(value), 0x66, 0xef);

/** Writes a text to the first serial port. */
export const print = (text: string): number[] =>
  Array.from(text, (letter) => out8(0x3f8, letter.charCodeAt(0))).flat();

/** Ends the run through the debug-exit port. */
export const exit = (value: number): number[] => out8(0xf4, value);

/** ACPI power-off. */
export const POWER_OFF = out16(0x604, 0x2000 | (5 << 10));

/** The reset control register. */
export const RESET = out8(0xcf9, 6);

/** An exception with no table to deliver it by: lidt of zeros, int3. */
export const TRIPLE_FAULT = code(0x0f, 0x01, 0x1d, long(SCRATCH + 64), 0xcc);

/** cli; hlt; and again. */
export const HALT = [0xfa, 0xf4, 0xeb, 0xfd];

/** jmp to itself. */
export const SPIN = [0xeb, 0xfe];

/** inc dword [SCRATCH] */
const INCREMENT = code(0xff, 0x05, long(SCRATCH));

/** Adds one to `SCRATCH`, and runs `then` if that makes `count`. */
export const countTo = (count: number, then: readonly number[]): number[] =>
  code(INCREMENT, 0x83, 0x3d, long(SCRATCH), count, 0x0f, 0x85, long(then.length), then);

/** Counts `SCRATCH` up to a number: three instructions a round. */
export const loop = (rounds: number): number[] =>
  code(INCREMENT, 0x81, 0x3d, long(SCRATCH), long(rounds), 0x75, 0xee);

/** For ever: adds one to `SCRATCH`. */
export const COUNT = code(INCREMENT, 0xeb, 0xf8);

/** For ever: sends back what the serial port receives. */
export const ECHO = code(
  [portInDx(0x3fd), 0xec, 0xa8, 0x01, 0x74, 0xfb].flat(),
  [portInDx(0x3f8), 0xec, 0xee, 0xeb, 0xef].flat(),
);

/** Writes the low byte of the time-stamp counter to the serial port. */
export const PRINT_TSC = code(0x0f, 0x31, portInDx(0x3f8), 0xee);

/** All pieces as a flat image, which `FLAT` says how to start. */
export const program = (...pieces: readonly (readonly number[])[]): Uint8Array =>
  Uint8Array.from(pieces.flat());

export const FLAT = { address: LOAD_ADDRESS, mode: "protected32" } as const;

/** All pieces as a multiboot 1 kernel that says in its header where it goes (multiboot 0.6.96, 3.1). */
export function multibootKernel(...pieces: readonly (readonly number[])[]): Uint8Array {
  const body = pieces.flat();
  const headerBytes = 32;
  const magic = 0x1bad_b002;
  const flags = 0x1_0000;
  const end = LOAD_ADDRESS + headerBytes + body.length;
  const addresses = [LOAD_ADDRESS, LOAD_ADDRESS, end, end, LOAD_ADDRESS + headerBytes];
  const header = [magic, flags, -(magic + flags), ...addresses].flatMap(long);
  return Uint8Array.from([...header, ...body]);
}
