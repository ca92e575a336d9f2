/**
 * The large run: compares decoder and disassembler with the reference over whole binaries and many random
 * byte strings. `node --conditions=@queztl/source compare-binaries.ts [--random N] FILE…`
 */
import { compareCode, compareRandom, emptyComparison, type Comparison } from "./compare.ts";
import { readElfText } from "./elf-text.ts";

const REPORTED = 10;

function report(name: string, comparison: Comparison): void {
  const { instructions, vectors, refused, excluded, differences } = comparison;
  console.log(
    `${name}: ${instructions} instructions equal, ${vectors} vector lengths equal, ${refused} refused by both, ` +
      `${excluded} excluded, ${differences.length} differences`,
  );
  for (const difference of differences.slice(0, REPORTED)) console.log(`  ${difference}`);
  if (differences.length > 0) process.exitCode = 1;
}

const files = process.argv.slice(2);
if (files[0] === "--random") {
  const [, count = "100000"] = files.splice(0, 2);
  for (const vendor of ["amd", "intel"] as const)
    for (const mode of [16, 32, 64] as const) {
      const comparison = emptyComparison();
      compareRandom(Number(count), mode, 0x9e3779b9 + mode, comparison, vendor);
      report(`random, ${mode}-bit, ${vendor}`, comparison);
    }
}
for (const path of files) {
  const text = readElfText(path);
  if (text === undefined) {
    console.error(`${path}: not an x86 ELF file with an executable segment`);
    process.exitCode = 2;
    continue;
  }
  const comparison = emptyComparison();
  compareCode(text.bytes, text.mode, text.address, comparison);
  report(path, comparison);
}
