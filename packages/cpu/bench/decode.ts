/**
 * How many instructions a second the decoder decodes: a linear sweep over the code of the Node.js binary that
 * runs this (or an ELF file named on the command line), best and median of several rounds.
 * `node --conditions=@queztl/source packages/cpu/bench/decode.ts [FILE]`
 */
import { Decoder } from "../src/decode/decoder.ts";
import { readElfText } from "../src/disassemble/testing/elf-text.ts";

const ROUNDS = 9;
const BYTES = 8 << 20;

const path = process.argv[2] ?? process.execPath;
const text = readElfText(path, 1 << 16, BYTES);
if (text === undefined) throw new Error(`${path} is not an x86 ELF file: name one`);

function sweep(decoder: Decoder, code: Uint8Array, mode: 32 | 64): number {
  let count = 0;
  for (let offset = 0; offset < code.length; count++) {
    decoder.decode(code, offset, code.length, mode);
    offset += Math.max(1, decoder.instruction.length);
  }
  return count;
}

const decoder = new Decoder();
const rates: number[] = [];
for (let round = 0; round <= ROUNDS; round++) {
  // CPU time, so that a busy machine does not count.
  const start = process.cpuUsage();
  const count = sweep(decoder, text.bytes, text.mode);
  // The first round warms up.
  if (round > 0) rates.push(count / process.cpuUsage(start).user);
}
rates.sort((a, b) => a - b);
const [median = 0, best = 0] = [rates[ROUNDS >> 1], rates.at(-1)];
console.log(
  `decode: ${median.toFixed(1)} M instructions/s median, ${best.toFixed(1)} best (${(1000 / median).toFixed(0)} ns each)`,
);
