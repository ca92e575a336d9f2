import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Decoder } from "../decode/decoder.ts";
import { disassemble, disassembleAll, type DisassembleOptions } from "./disassemble.ts";
import { compareCode, compareRandom, emptyComparison } from "./testing/compare.ts";
import { readElfText } from "./testing/elf-text.ts";

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

describe("disassemble", () => {
  // Texts as GNU objdump has them, but for spaces and the case of sizes.
  it.each([
    [64, "55", "push rbp"],
    [64, "4889e5", "mov rbp, rsp"],
    [64, "48c7c0ffffffff", "mov rax, 0xffffffffffffffff"],
    [64, "48b8efcdab8967452301", "mov rax, 0x123456789abcdef"],
    [64, "4883ec08", "sub rsp, 0x8"],
    [64, "4883c4f8", "add rsp, 0xfffffffffffffff8"],
    [64, "8b442408", "mov eax, dword ptr [rsp+0x8]"],
    [64, "428b44a1fc", "mov eax, dword ptr [rcx+r12*4-0x4]"],
    [64, "488b05d92f0000", "mov rax, qword ptr [rip+0x2fd9]"],
    [64, "64488b042528000000", "mov rax, qword ptr fs:[0x28]"],
    [64, "f30f1efa", "endbr64"],
    [64, "e8fbffffff", "call 0x1000"],
    [64, "75fe", "jne 0x1000"],
    [64, "f3aa", "rep stosb byte ptr es:[rdi], al"],
    [64, "f2ae", "repne scasb al, byte ptr es:[rdi]"],
    [64, "f00fb10f", "lock cmpxchg dword ptr [rdi], ecx"],
    [64, "48f7f9", "idiv rcx"],
    [64, "4088f5", "mov bpl, sil"],
    [64, "88f5", "mov ch, dh"],
    [64, "0fc70f", "cmpxchg8b qword ptr [rdi]"],
    [64, "480fc70f", "cmpxchg16b xmmword ptr [rdi]"],
    [64, "660f6fc1", "movdqa xmm0, xmm1"],
    [64, "f20f2ac7", "cvtsi2sd xmm0, edi"],
    [64, "f2480f2ac7", "cvtsi2sd xmm0, rdi"],
    [64, "d9c9", "fxch st, st(1)"],
    [64, "db2c24", "fld tbyte ptr [rsp]"],
    [64, "0f20e0", "mov rax, cr4"],
    [64, "440f22c0", "mov cr8, rax"],
    [64, "0f01f8", "swapgs"],
    [64, "4990", "xchg r8, rax"],
    [64, "f390", "pause"],
    [64, "c5f877", "vex"],
    [32, "40", "inc eax"],
    [32, "9a785634120800", "call 0x8:0x12345678"],
    [32, "c40424", "les eax, fword ptr [esp]"],
    [32, "620424", "bound eax, qword ptr [esp]"],
    [16, "8b4702", "mov ax, word ptr [bx+0x2]"],
    [16, "268a04", "mov al, byte ptr es:[si]"],
    [16, "66678b0424", "mov eax, dword ptr [esp]"],
    [16, "ea00c00000", "jmp 0x0:0xc000"],
  ] as const)("%i-bit %s → %s", (mode, hex, text) => {
    const line = disassemble(bytes(hex), { mode, address: 0x1000n });
    expect(line).toMatchObject({ text, length: hex.length / 2 });
  });

  it("66 on a near branch in 64-bit mode → 16-bit distance on AMD, ignored on Intel", () => {
    const code = bytes("66e90000000000");
    expect(disassemble(code, { address: 0x12345n })).toMatchObject({
      text: "jmp 0x2349",
      length: 4,
    });
    const intel = disassemble(code, { address: 0x12345n, vendor: "intel" });
    expect(intel).toMatchObject({ text: "jmp 0x1234b", length: 6 });
  });

  it("a mode or vendor that does not exist → QZ_CPU_OPTIONS", () => {
    const options = [{ mode: 8 }, { mode: Number.NaN }, { vendor: "via" }] as unknown[];
    for (const option of options)
      expect(() => disassemble(bytes("90"), option as DisassembleOptions)).toThrow(
        expect.objectContaining({ code: "QZ_CPU_OPTIONS" }),
      );
    expect(() => new Decoder({ features: ["sse9" as "sse"] })).toThrow("sse9");
  });

  it("bytes that are no instruction, or are cut off → (bad), one byte on", () => {
    const lines = [...disassembleAll(bytes("0f0b0fff0f048b"), { address: 0x10n })];
    expect(lines.map(({ address, text }) => `${address} ${text}`)).toEqual([
      "16 ud2",
      "18 ud0",
      "20 (bad)",
      "21 add al, 0x8b",
    ]);
    expect(disassemble(new Uint8Array(0))).toMatchObject({ text: "(bad)", length: 0 });
  });
});

describe("disassemble against iced-x86", () => {
  it.each([
    [16, "amd"],
    [32, "amd"],
    [64, "amd"],
    [64, "intel"],
  ] as const)("random bytes, %i-bit, %s → same length and text", (mode, vendor) => {
    const comparison = emptyComparison();
    compareRandom(12_000, mode, 0x51ed270b, comparison, vendor);
    expect(comparison.differences).toEqual([]);
    expect(comparison.instructions).toBeGreaterThan(6_000);
    expect(comparison.vectors).toBeGreaterThan(20);
  });

  const binaries = [process.execPath, "/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6"].filter(
    (path) => existsSync(path) && readElfText(path, 0, 64) !== undefined,
  );
  it.skipIf(binaries.length === 0)(
    "code of binaries on this machine → same length and text",
    () => {
      for (const path of binaries) {
        const text = readElfText(path, 100_000, 40_000);
        const comparison = emptyComparison();
        compareCode(text!.bytes, text!.mode, text!.address, comparison);
        expect(comparison.differences, path).toEqual([]);
        expect(comparison.instructions, path).toBeGreaterThan(4_000);
      }
    },
  );
});
