import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
const code = (length: number, value = 7) => new Uint8Array(length).fill(value).buffer;
const only = () => join(folder, readdirSync(folder)[0] ?? "");
const found = (of = bytes) => new KeptCode(folder, of).read((kept) => new Uint8Array(kept));

test("kept code → found for the same bytes, not for others", () => {
  new KeptCode(folder, bytes).write(code(100));
  expect(found()).toEqual(new Uint8Array(100).fill(7));
  expect(found(Uint8Array.of(1, 2, 4))).toBeUndefined();
});

test("a file that is damaged, cut off or empty → compiled anew, and kept again", () => {
  new KeptCode(folder, bytes).write(code(100));
  const whole = readFileSync(only());
  const damaged = Buffer.from(whole);
  damaged[60] = 8;
  for (const content of [damaged, whole.subarray(0, 90), Buffer.alloc(0)]) {
    writeFileSync(only(), content);
    const kept = new KeptCode(folder, bytes);
    expect(kept.read((each) => each)).toBeUndefined();
    kept.write(code(100));
    expect(found()).toHaveLength(100);
  }
});

test("code that V8 refuses → kept anew; code that has hardly grown → left as it is", () => {
  const first = new KeptCode(folder, bytes);
  first.write(code(100));
  first.write(code(102, 8));
  expect(found()?.[0]).toBe(7);
  first.write(code(120, 8));
  expect(found()?.[0]).toBe(8);
  const refusing = new KeptCode(folder, bytes);
  expect(refusing.read(() => undefined)).toBeUndefined();
  refusing.write(code(50, 9));
  expect(found()?.[0]).toBe(9);
});

test("a folder that cannot be written → nothing is kept, nothing is left, nothing fails", () => {
  mkdirSync(join(folder, "cache"));
  writeFileSync(join(folder, "cache", "file"), "");
  const kept = new KeptCode(join(folder, "cache", "file"), bytes);
  kept.write(code(10));
  expect(kept.read((each) => each)).toBeUndefined();
});

test("V8's own functions, in a process of its own → what one run compiled, the next one takes", () => {
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
    processor.vcpu.registers[1] = 1000n;
    processor.vcpu.rip = 0n;
    while (processor.vcpu.run(1_000_000) !== "halt");
    await new Promise((resolve) => setTimeout(resolve, 2300));
    console.log(compiled, String(processor.vcpu.registers[0]));
  `;
  const run = () =>
    execFileSync(
      process.execPath,
      ["--conditions=@queztl/source", "--input-type=module", "-e", program],
      { encoding: "utf8", cwd: import.meta.dirname },
    ).trim();
  expect(run()).toBe("1 1000");
  expect(run()).toBe("0 1000");
});
