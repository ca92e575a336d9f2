import { formName } from "./forms.ts";
import type { Form } from "./forms.ts";
import { KILLED, TIMEOUT } from "./layout.ts";
import type { Instance, Outcome, VectorState } from "./layout.ts";
import { resultUndefined, undefinedFlags } from "./undefined-flags.ts";

const RF = 0x10000;
const PAGE_FAULT = 14;
/** Where Linux's part of the address space begins. */
const KERNEL_HALF = 0x7fff_ffff_f000n;

/** The return to the signal handler clears the low bits of null selectors (Intel SDM vol. 2, IRET). */
const selector = (value: number): number => (value < 4 ? 0 : value);

const hex = (value: bigint | number): string => value.toString(16);

/** Differences between the host's outcome and the emulated one, in words; empty if there are none. */
export function differences(
  form: Form,
  instance: Instance,
  host: Outcome,
  emulated: Outcome,
): string[] {
  if (host.vector === KILLED || host.vector === TIMEOUT) {
    return emulated.vector === TIMEOUT ? [] : [`the host did not end (${host.vector})`];
  }
  const found: string[] = [];
  const differ = (what: string, a: bigint | number, b: bigint | number): void => {
    if (a !== b) found.push(`${what}: host ${hex(a)}, emulated ${hex(b)}`);
  };
  differ("vector", host.vector, emulated.vector);
  if (host.vector === emulated.vector) {
    // Linux reports the kernel's half of the address space as present, whatever is there.
    const hidden = host.vector === PAGE_FAULT && host.cr2 >= KERNEL_HALF ? 1 : 0;
    differ("error code", host.error & ~hidden, emulated.error & ~hidden);
    // Which operand of CMPS is read first is the processor's choice.
    if (host.vector === PAGE_FAULT && form.entry.mnemonic.slice(0, 4) !== "cmps") {
      differ("cr2", host.cr2, emulated.cr2);
    }
  }
  differ("rip", host.rip, emulated.rip);
  if (resultUndefined(form, instance)) return found;
  const ignored = RF | undefinedFlags(form.entry.mnemonic);
  differ("rflags", host.rflags & ~ignored, emulated.rflags & ~ignored);
  const names = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
  names.forEach((name, i) =>
    differ(name, host.registers[i] as bigint, emulated.registers[i] as bigint),
  );
  differ("fs base", host.fsBase, emulated.fsBase);
  differ("gs base", host.gsBase, emulated.gsBase);
  "es cs ss ds fs gs"
    .split(" ")
    .forEach((name, i) =>
      differ(
        name,
        selector(host.selectors[i] as number),
        selector(emulated.selectors[i] as number),
      ),
    );
  differ("bytes changed", host.changed, emulated.changed);
  differ("first changed", host.firstChanged, emulated.firstChanged);
  differ("memory", host.digest, emulated.digest);
  if (host.vectors !== undefined && emulated.vectors !== undefined) {
    found.push(...vectorDifferences(host.vectors, emulated.vectors));
  }
  return found;
}

function vectorDifferences(host: VectorState, emulated: VectorState): string[] {
  const found: string[] = [];
  const bytes = (what: string, a: Uint8Array, b: Uint8Array): void => {
    for (let i = 0; i < a.length; i += 16) {
      const [x, y] = [a, b].map((all) => Buffer.from(all.subarray(i, i + 16)));
      if (x?.equals(y as Buffer) === false) {
        found.push(`${what}${i / 16}: host ${x.toString("hex")}, emulated ${y?.toString("hex")}`);
      }
    }
  };
  bytes("xmm", host.xmm, emulated.xmm);
  bytes("st", host.st, emulated.st);
  for (const field of ["mxcsr", "control", "status", "tags"] as const) {
    if (host[field] !== emulated[field]) {
      found.push(`${field}: host ${hex(host[field])}, emulated ${hex(emulated[field])}`);
    }
  }
  return found;
}

/** An instance in words, for reports. */
export function describe(form: Form, instance: Instance): string {
  const registers = instance.registers.map(hex).join(" ");
  return [
    formName(form),
    `  code ${Buffer.from(instance.code).toString("hex")} at +${hex(instance.entry)}, rflags ${hex(instance.rflags)}`,
    `  registers ${registers}, fs ${hex(instance.fsBase)}, gs ${hex(instance.gsBase)}`,
    `  operand ${Buffer.from(instance.operand).toString("hex")} at ${hex(instance.operandAddress)}`,
  ].join("\n");
}
