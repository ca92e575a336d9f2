/**
 * Which opcodes does the processor that runs this refuse, and which lengths does it see? Compared with the
 * decoder over all opcode maps, ModRM forms and mandatory prefixes. Linux on x86-64 with a C compiler:
 * `node --conditions=@queztl/source packages/cpu/src/decode/testing/host-refusals.ts`
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FEATURES, type Feature } from "../../isa/features.ts";
import { OPCODES } from "../../isa/opcodes.ts";
import { Decoder } from "../decoder.ts";

/** The kernel's names of features where they differ from ours. */
const KERNEL_NAMES: Partial<Record<Feature, string>> = {
  base: "lm",
  sse3: "pni",
  sse41: "sse4_1",
  sse42: "sse4_2",
  lzcnt: "abm",
  pclmul: "pclmulqdq",
  sha: "sha_ni",
  prefetchw: "3dnowprefetch",
  monitorx: "mwaitx",
  cet: "shstk",
  pku: "ospke",
  movdir: "movdiri",
};

/** System calls, hypervisor calls and what would take the memory away from the harness. */
const SKIPPED =
  /^(syscall|sysenter|sysexit|int|vmmcall|vmcall|vmgexit|wrpkru|mwaitx|vex|evex|xop)$/;
/** Refused when executed, not when decoded: UD0–UD2, RSM outside SMM, CLAC and STAC in user code. */
const REFUSED_LATER = /^(ud[012]|rsm|clac|stac)$/;

interface Case {
  readonly bytes: Uint8Array;
  readonly entry: number;
  readonly length: number;
}

function cases(decoder: Decoder, mode: 32 | 64): Case[] {
  const found: Case[] = [];
  const rex = mode === 64 ? [[0x48], [0x66, 0x48], [0xf3, 0x48]] : [];
  const prefixes = [[], [0x66], [0xf3], [0xf2], [0x66, 0xf3], [0x66, 0xf2], [0xf0], ...rex];
  for (const prefix of prefixes)
    for (const map of [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]])
      for (let opcode = 0; opcode < 256; opcode++) {
        if (map.length === 0 && isNoOpcode(opcode, mode)) continue;
        // SYSCALL, SYSENTER, SYSEXIT; and the escapes to the other maps.
        if (map.length === 1 && [0x05, 0x34, 0x35, 0x38, 0x3a].includes(opcode)) continue;
        // All register forms, and [rbx] or [bp+di] with each ModRM.reg.
        for (let form = 0; form < 72; form++) {
          const modrm = form < 64 ? 0xc0 | form : ((form - 64) << 3) | 3;
          if (map.length === 1 && opcode === 1 && isVirtualisation(modrm)) continue;
          // AMD's LOCK MOV CR0, another way to write CR8.
          if (map.length === 1 && prefix[0] === 0xf0 && [0x20, 0x22].includes(opcode)) continue;
          // LOCK VERW on memory: not refused by processors whose microcode clears buffers with it.
          if (map.length === 1 && prefix[0] === 0xf0 && opcode === 0 && modrm === 0x2b) continue;
          const bytes = new Uint8Array(15);
          bytes.set([...prefix, ...map, opcode, modrm]);
          const entry = decoder.decode(bytes, 0, 15, mode);
          const known = OPCODES[entry];
          if (known !== undefined && SKIPPED.test(known.mnemonic)) continue;
          found.push({ bytes, entry, length: entry < 0 ? 15 : decoder.instruction.length });
          if (known !== undefined && !known.hasModrm) break;
        }
      }
  return found;
}

/** VMX, SVM, SEV and MONITORX, which hypervisors hide more or less thoroughly, and WRPKRU. */
function isVirtualisation(modrm: number): boolean {
  return (
    (modrm >= 0xc1 && modrm <= 0xc4) ||
    (modrm & 0xf8) === 0xd8 ||
    [0xef, 0xfa, 0xfb, 0xfe, 0xff].includes(modrm)
  );
}

function isNoOpcode(byte: number, mode: 32 | 64): boolean {
  // Prefixes, escapes, INT, and the vector frames (which the host may offer).
  const others = [
    0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65, 0x66, 0x67, 0x8f, 0xc4, 0xc5, 0xcd,
  ];
  return (
    others.includes(byte) ||
    [0xf0, 0xf2, 0xf3].includes(byte) ||
    (mode === 64 && (byte & 0xf0) === 0x40)
  );
}

function run(harness: string, list: readonly Case[], mode: 32 | 64): string {
  const input = Buffer.alloc(16 * list.length);
  list.forEach(({ bytes, length }, i) => {
    input[16 * i] = length;
    input.set(bytes, 16 * i + 1);
  });
  return execFileSync(harness, [`${mode}`], { input, maxBuffer: 1 << 26, encoding: "latin1" });
}

const flags = new Set(
  /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.trim().split(" "),
);
const features = FEATURES.filter((feature) => flags.has(KERNEL_NAMES[feature] ?? feature));
const decoder = new Decoder({ features });
const folder = mkdtempSync(join(tmpdir(), "host-refusals-"));
try {
  const harness = join(folder, "harness");
  const source = fileURLToPath(new URL("host-refusals.c", import.meta.url));
  execFileSync("cc", [
    "-O1",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-mfsgsbase",
    "-o",
    harness,
    source,
  ]);
  for (const mode of [64, 32] as const) {
    const list = cases(decoder, mode);
    const answers = run(harness, list, mode);
    const differences = new Map<string, string[]>();
    let refused = 0;
    list.forEach(({ bytes, entry, length }, i) => {
      const answer = answers[i] ?? "";
      const form = OPCODES[entry];
      if (answer === "U") refused++;
      if (
        answer === "T" ||
        (form === undefined ? answer === "U" : answer !== "U" && answer !== "M")
      )
        return;
      if (form !== undefined && REFUSED_LATER.test(form.mnemonic)) return;
      const key = `host ${answer}, decoder ${form?.text ?? "INVALID"}`;
      const hex = Buffer.from(bytes.subarray(0, Math.min(length, 6))).toString("hex");
      differences.set(key, [...(differences.get(key) ?? []), hex]);
    });
    console.log(
      `${mode}-bit: ${list.length} cases, ${refused} refused by the host, ${differences.size} kinds of difference`,
    );
    if (differences.size > 0) process.exitCode = 1;
    for (const [key, examples] of differences)
      console.log(`  ${examples.length} × ${key}: ${examples.slice(0, 6).join(" ")}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
