/** Every x87 encoding: random states, and what the software makes of each. */
import type { F80 } from "../../src/float/format.ts";
import { fullTagWord, createX87Registers } from "../../src/x87/registers.ts";
import type { X87Registers } from "../../src/x87/registers.ts";
import { X87_OPERANDS } from "../../src/x87/operands.ts";
import { X87, X87Outcome } from "../../src/x87/x87.ts";
import type { Group, HostAnswer, HostCase } from "./host-oracle.ts";
import {
  Random,
  controlWordOperand,
  f32Operand,
  f64Operand,
  f80Near,
  f80Operand,
  integerOperand,
} from "./operands.ts";

/** Where FNSTENV after the instruction puts the environment. */
const ENVIRONMENT = 96;
const CODE_POINTER = 0xc0den;
const DATA_POINTER = 0xdadan;
const USER_CODE_SELECTOR = 0x33;

/** D9 F0–FF whose results are only close to the processor's. */
const APPROXIMATE = new Set([0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff]);

interface Encoding {
  readonly opcode: number;
  readonly modrm: number;
  /** 0x66 or nothing. */
  readonly prefix: readonly number[];
}

function operandBytes(random: Random, { opcode, modrm }: Encoding): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < ENVIRONMENT; at += 4) view.setUint32(at, random.word(), true);
  // FIP of an environment: never like the code's, which is aligned to a page.
  for (const at of [6, 12]) bytes[at] = 1;
  const operand = X87_OPERANDS[(opcode << 3) | (modrm >> 3)];
  if (modrm >= 0xc0 || operand === undefined || operand.size > 10) return bytes;
  if (operand.mnemonic === "fbld") {
    for (let at = 0; at < 9; at++) {
      bytes[at] =
        random.below(8) === 0 ? random.below(256) : (random.below(10) << 4) | random.below(10);
    }
    bytes[9] = random.pick([0, 0x80, random.below(256)]);
  } else if (operand.size === 10) {
    const value = f80Operand(random);
    view.setBigUint64(0, value.significand, true);
    view.setUint16(8, value.signExponent, true);
  } else if (opcode === 0 || opcode === 1) view.setUint32(0, f32Operand(random), true);
  else if (opcode === 4 || opcode === 5) view.setBigUint64(0, f64Operand(random), true);
  else view.setBigUint64(0, random.below(5) === 0 ? 0n : integerOperand(random), true);
  return bytes;
}

/** ST(0) … ST(7), in the interesting range of the instruction half of the time. */
function stackOperands(random: Random, { opcode, modrm }: Encoding): F80[] {
  const first = f80Operand(random);
  const st = [first];
  for (let index = 1; index < 8; index++) st.push(f80Near(random, first));
  if (random.below(2) === 0) return st;
  const sign = random.below(2) << 15;
  const significand = (1n << 63n) | (random.long() >> 1n);
  if (modrm < 0xc0 && opcode >= 3) {
    const edges = [
      0xffffffffffffffffn,
      0xffff000000000000n,
      0xfffe000000000000n,
      0xffffffff00000000n,
      0xde0b6b3a763fffffn,
    ];
    const edge = random.below(4) === 0;
    const mask = ~((1n << BigInt(random.below(63))) - 1n);
    st[0] = {
      significand: edge ? random.pick(edges) : (significand & mask) | (1n << 63n),
      signExponent:
        sign | (0x3fff + (edge ? random.pick([14, 15, 30, 31, 59, 62, 63]) : random.below(70) - 3)),
    };
  } else if (opcode === 1 && modrm === 0xfd) {
    st[1] = { significand, signExponent: sign | (0x3fff + random.below(17)) };
  } else if (opcode === 1 && APPROXIMATE.has(modrm)) {
    const ranges: Readonly<Record<number, readonly [number, number]>> = {
      0xf0: [0x3ff6, 9],
      0xf1: [0x3ffd, 5],
      0xf9: [0x3ff4, 9],
    };
    const [low, span] = ranges[modrm] ?? [0x3ff7, 66];
    st[0] = { significand, signExponent: sign | (low + random.below(span)) };
    st[1] = {
      significand: (1n << 63n) | (random.long() >> 1n),
      signExponent: (random.below(2) << 15) | (0x3ffb + random.below(8)),
    };
  }
  return st;
}

function linear({ significand, signExponent }: F80): bigint {
  const magnitude = (BigInt(signExponent & 0x7fff) << 63n) + BigInt.asUintN(63, significand);
  return signExponent & 0x8000 ? -magnitude : magnitude;
}

function show({ significand, signExponent }: F80): string {
  return `${signExponent.toString(16).padStart(4, "0")}:${significand.toString(16).padStart(16, "0")}`;
}

/** How close the approximate instructions come; exact ones never count here. */
export const agreement = new Map<string, { exact: number; close: number }>();

function load(hostCase: HostCase): X87Registers {
  const registers = createX87Registers();
  registers.controlWord = hostCase.controlWord ?? 0;
  registers.statusWord = hostCase.statusWord ?? 0;
  if (registers.statusWord & ~registers.controlWord & 0x3f) registers.statusWord |= 0x8080;
  registers.tags = hostCase.tags ?? 0;
  const top = (registers.statusWord >> 11) & 7;
  hostCase.st?.forEach(({ significand, signExponent }, index) => {
    const physical = (top + index) & 7;
    registers.registers[2 * physical] = significand;
    registers.registers[2 * physical + 1] = BigInt(signExponent);
  });
  return registers;
}

function check(encoding: Encoding, hostCase: HostCase, answer: HostAnswer): string | undefined {
  const { opcode, modrm } = encoding;
  const registers = load(hostCase);
  const x87 = new X87(registers);
  const before = hostCase.memory ?? new Uint8Array(128);
  new Uint8Array(x87.operand.buffer).set(before);
  x87.layout = { operandSize: encoding.prefix.length > 0 ? 16 : 32, realAddresses: false };
  x87.eflags = hostCase.eflags ?? 0;
  x87.location.codeSelector = USER_CODE_SELECTOR;
  x87.location.instructionPointer = CODE_POINTER;
  x87.location.dataPointer = DATA_POINTER;
  const outcome = x87.execute(opcode, modrm);
  const problems: string[] = [];
  const compare = (what: string, processor: number, software: number): void => {
    if (processor !== software)
      problems.push(
        `${what} processor ${processor.toString(16)} software ${software.toString(16)}`,
      );
  };
  compare(
    "fault",
    answer.fault,
    outcome === X87Outcome.pending ? 8 : outcome === X87Outcome.undefinedOpcode ? 4 : 0,
  );
  const operand = modrm < 0xc0 ? X87_OPERANDS[(opcode << 3) | (modrm >> 3)] : undefined;
  const isState = operand?.mnemonic === "fnsave";
  const name = nameOf(encoding);
  const approximate = opcode === 1 && APPROXIMATE.has(modrm);
  let statusMask = 0xffff;
  if (answer.fault === 0) {
    const top = (answer.statusWord >> 11) & 7;
    let distance = 0n;
    answer.st.forEach((value, index) => {
      const physical = (top + index) & 7;
      const software = {
        significand: registers.registers[2 * physical] ?? 0n,
        signExponent: Number((registers.registers[2 * physical + 1] ?? 0n) & 0xffffn),
      };
      const difference = linear(value) - linear(software);
      const magnitude = difference < 0n ? -difference : difference;
      if (approximate && magnitude <= 1n) distance += magnitude;
      else if (show(value) !== show(software)) {
        problems.push(`ST(${index}) processor ${show(value)} software ${show(software)}`);
      }
    });
    if (approximate) {
      // Rounding up and the sticky side of the last place are as approximate as the value.
      statusMask = ~0x200;
      const counts = agreement.get(name) ?? { exact: 0, close: 0 };
      agreement.set(name, counts);
      if (distance === 0n) counts.exact++;
      else counts.close++;
    }
    if (!isState) {
      const view = new DataView(answer.memory.buffer, answer.memory.byteOffset + ENVIRONMENT, 28);
      compare("control word", view.getUint16(0, true), registers.controlWord);
      compare(
        "status word",
        view.getUint16(4, true) & statusMask,
        registers.statusWord & statusMask,
      );
      compare("tag word", view.getUint16(8, true), fullTagWord(registers));
      comparePointers(view, registers, compare);
    } else {
      compare("status word", answer.statusWord, registers.statusWord);
      compare("control word", answer.controlWord, registers.controlWord);
    }
    if (operand?.access === "store") {
      const written = new Uint8Array(before);
      const size = encoding.prefix.length > 0 ? (operand.size16 ?? operand.size) : operand.size;
      if (outcome === X87Outcome.store) written.set(new Uint8Array(x87.operand.buffer, 0, size));
      const environment = operand.mnemonic === "fnstenv" || isState;
      const pointers =
        encoding.prefix.length > 0 ? [6, 7, 10, 11] : [12, 13, 14, 15, 20, 21, 22, 23];
      for (let at = 0; at < (isState ? size : ENVIRONMENT); at++) {
        if (!environment || !pointers.includes(at))
          compare(`byte ${at}`, answer.memory[at] ?? 0, written[at] ?? 0);
      }
    }
    if (outcome === X87Outcome.storeAx) compare("ax", Number(answer.rax & 0xffffn), x87.ax);
    compare("eflags", answer.eflags, x87.eflags & 0x8d5);
  }
  if (problems.length === 0) return undefined;
  const { controlWord = 0, statusWord = 0, tags = 0, st = [] } = hostCase;
  return (
    `${name} control=${controlWord.toString(16)} status=${statusWord.toString(16)} tags=${tags.toString(16)} ` +
    `st=${st.map(show).join(" ")}: ${problems.join("; ")}`
  );
}

/** FOP, FIP, FCS and FDP: whether they were updated. A context switch clears them, or the selectors alone, which excuses zeros. */
function comparePointers(
  view: DataView,
  registers: X87Registers,
  compare: (what: string, processor: number, software: number) => void,
): void {
  const code = view.getUint32(12, true);
  if (code === 0) return;
  const updated = registers.instructionPointer === CODE_POINTER;
  compare("instruction pointer updated", (code & 0xfff) === 0 ? 1 : 0, updated ? 1 : 0);
  const selector = view.getUint16(16, true);
  if (selector !== 0) compare("code selector", selector, registers.codeSelector);
  compare("opcode", view.getUint16(18, true), registers.opcode);
  if (updated)
    compare(
      "data pointer",
      view.getUint32(20, true) === 0 ? 0 : 1,
      registers.dataPointer === 0n ? 0 : 1,
    );
}

function nameOf({ opcode, modrm, prefix }: Encoding): string {
  return [...prefix, 0xd8 + opcode, modrm]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}

function group(encoding: Encoding): Group {
  const { opcode, modrm, prefix } = encoding;
  const isState = modrm < 0xc0 && X87_OPERANDS[(opcode << 3) | (modrm >> 3)]?.mnemonic === "fnsave";
  // FNSAVE leaves nothing for FNSTENV to tell.
  const code = isState
    ? [...prefix, 0xd8 + opcode, modrm]
    : [...prefix, 0xd8 + opcode, modrm, 0xd9, 0x77, ENVIRONMENT];
  return {
    name: nameOf(encoding),
    generate(count) {
      const random = new Random(opcode * 4096 + modrm * 8 + prefix.length + 1);
      return Array.from({ length: count }, () => {
        const hostCase: HostCase = {
          code,
          memory: operandBytes(random, encoding),
          st: stackOperands(random, encoding),
          controlWord: controlWordOperand(random),
          statusWord:
            (random.below(8) << 11) |
            (random.word() & 0x4700) |
            (random.below(5) === 0 ? random.below(128) : 0),
          tags: random.below(3) === 0 ? random.below(256) : 0xff,
          eflags: random.word() & 0x8d5,
        };
        return { hostCase, check: (answer) => check(encoding, hostCase, answer) };
      });
    },
  };
}

const encodings: Encoding[] = [];
for (let opcode = 0; opcode < 8; opcode++) {
  // [rdi] with every ModRM.reg, then every register form.
  for (let reg = 0; reg < 8; reg++) encodings.push({ opcode, modrm: (reg << 3) | 7, prefix: [] });
  for (let modrm = 0xc0; modrm < 0x100; modrm++) encodings.push({ opcode, modrm, prefix: [] });
}
for (const [opcode, reg] of [
  [1, 4],
  [1, 6],
  [5, 4],
  [5, 6],
] as const) {
  encodings.push({ opcode, modrm: (reg << 3) | 7, prefix: [0x66] });
}

/** Every x87 encoding under test. */
export const X87_GROUPS: readonly Group[] = encodings.map(group);
