import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KeptCode } from "./kept-interpreter.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "queztl-kept-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytes = Uint8Array.of(1, 2, 3);
const digestOf = (of: Uint8Array) => createHash("sha256").update(of).digest("hex");
const keptFor = (of = bytes) => new KeptCode(folder, digestOf(of));
const code = (length: number, value = 7) => new Uint8Array(length).fill(value).buffer;
const only = () => join(folder, readdirSync(folder)[0] ?? "");
const found = (of = bytes) => keptFor(of).read((_, kept) => new Uint8Array(kept))?.made;

test("kept code → found for the same bytes, not for others", () => {
  keptFor().write(bytes, code(100));
  expect(found()).toEqual(new Uint8Array(100).fill(7));
  expect(found(Uint8Array.of(1, 2, 4))).toBeUndefined();
  expect(keptFor().read((known) => known)?.bytes).toEqual(bytes);
});

test("bytes that are not those of the digest → neither kept nor taken", () => {
  const others = Uint8Array.of(1, 2, 4);
  keptFor().write(others, code(100));
  expect(readdirSync(folder)).toEqual([]);
  keptFor(others).write(others, code(100));
  const theirs = readFileSync(only());
  keptFor().write(bytes, code(100));
  for (const name of readdirSync(folder)) writeFileSync(join(folder, name), theirs);
  expect(found()).toBeUndefined();
  expect(found(others)).toHaveLength(100);
});

test("more files than are kept → those not used for longest are gone, and nothing else", () => {
  writeFileSync(join(folder, "other"), "");
  const seen = new Set<string>();
  const others = Array.from({ length: 12 }, (_, i) => Uint8Array.of(i));
  others.forEach((each, i) => {
    keptFor(each).write(each, code(100));
    for (const name of readdirSync(folder).filter((known) => !seen.has(known))) {
      seen.add(name);
      utimesSync(join(folder, name), i + 1, i + 1);
    }
    // The first one stays in use.
    expect(found(others[0])).toHaveLength(100);
  });
  expect(readdirSync(folder)).toHaveLength(9);
  expect(readdirSync(folder)).toContain("other");
  expect(others.map((each) => found(each) !== undefined)).toEqual(
    others.map((_, i) => i === 0 || i >= 5),
  );
});

test("a file that is damaged, cut off or empty → compiled anew, and kept again", () => {
  keptFor().write(bytes, code(100));
  const whole = readFileSync(only());
  const damaged = Buffer.from(whole);
  damaged[60] = 8;
  for (const content of [damaged, whole.subarray(0, 90), Buffer.alloc(0)]) {
    writeFileSync(only(), content);
    const kept = keptFor();
    expect(kept.read((_, each) => each)).toBeUndefined();
    kept.write(bytes, code(100));
    expect(found()).toHaveLength(100);
  }
});

test("code that V8 refuses → kept anew; code that has hardly grown → left as it is", () => {
  const first = keptFor();
  first.write(bytes, code(100));
  first.write(bytes, code(102, 8));
  expect(found()?.[0]).toBe(7);
  first.write(bytes, code(120, 8));
  expect(found()?.[0]).toBe(8);
  const refusing = keptFor();
  expect(refusing.read(() => undefined)).toBeUndefined();
  refusing.write(bytes, code(50, 9));
  expect(found()?.[0]).toBe(9);
});

test("a folder that cannot be written → nothing is kept, nothing is left, nothing fails", () => {
  mkdirSync(join(folder, "cache"));
  writeFileSync(join(folder, "cache", "file"), "");
  const kept = new KeptCode(join(folder, "cache", "file"), digestOf(bytes));
  kept.write(bytes, code(10));
  expect(kept.read((_, each) => each)).toBeUndefined();
});

/** Runs a guest in a process of its own, for as long as it takes to be kept. @returns what was compiled, and EAX. */
function processOf(rounds: number): string {
  const program = `
    import { createFlatProcessor } from "@queztl/cpu";
    import { keepInterpreter } from ${JSON.stringify(join(import.meta.dirname, "kept-interpreter.ts"))};
    keepInterpreter(${JSON.stringify(folder)});
    const { Module } = WebAssembly;
    let compiled = 0;
    WebAssembly.Module = new Proxy(Module, { construct: (of, given) => (compiled++, new of(...given)) });
    const processor = createFlatProcessor({ ramBytes: 65536 });
    // add eax, 1; dec ecx; jnz -7; hlt
    processor.memory.writeBytes(0, Uint8Array.of(0x83, 0xc0, 1, 0xff, 0xc9, 0x75, 0xf9, 0xf4));
    processor.vcpu.registers[1] = ${rounds}n;
    processor.vcpu.rip = 0n;
    while (${rounds} > 0 && processor.vcpu.run(1_000_000) !== "halt");
    await new Promise((resolve) => setTimeout(resolve, 2300));
    console.log(compiled, String(processor.vcpu.registers[0]));
  `;
  const args = ["--conditions=@queztl/source", "--input-type=module", "-e", program];
  return execFileSync(process.execPath, args, {
    encoding: "utf8",
    cwd: import.meta.dirname,
  }).trim();
}

test("V8's own functions, in a process of its own → what one run compiled, the next one takes", () => {
  expect(processOf(1000)).toBe("1 1000");
  expect(processOf(1000)).toBe("0 1000");
});

test("a machine that did not run → nothing is kept, and the process goes on", () => {
  expect(processOf(0)).toBe("1 0");
  expect(readdirSync(folder)).toEqual([]);
});
