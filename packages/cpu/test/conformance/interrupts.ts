import { At, P, Selector, User, W, descriptor, le } from "./world.ts";
import type { Case, Verdict, World, WorldOptions } from "./world.ts";

/** Interrupts and exceptions, what holds them back, and debugging (Intel SDM vol. 3, chapters 6 and 18). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const real: WorldOptions = { mode: "real" };
const compatibility: WorldOptions = { mode: "long", cpl: 3, compatibility: true };

/** The local APIC in x2APIC mode, enabled by its spurious-interrupt register. */
export const X2APIC = { 0x1b: 0xfee00d00n, 0x80f: 0x1ffn };

/** wrmsr(index, value). */
export const wrmsr = (index: number, value: bigint | number): string => {
  const wide = BigInt.asUintN(64, BigInt(value));
  return `b9${le(index, 4)} b8${le(wide & 0xffffffffn, 4)} ba${le(wide >> 32n, 4)} 0f30`;
};
const WRMSR_BYTES = 17;
/** Sends this processor a fixed interrupt (x2APIC SELF IPI). */
const selfIpi = (vector: number): string => wrmsr(0x83f, vector);
const apic = (world: World): void => void (world.state.msrs = X2APIC);

const dr =
  (...values: readonly (readonly [number, bigint])[]) =>
  (world: World) => {
    for (const [register, value] of values) world.state.debug[register] = value;
  };
const status =
  (bits: bigint) =>
  ({ state }: { state: { debug: bigint[] } }): Verdict => {
    const found = (state.debug[6] as bigint) & 0xe00fn;
    return found === bits ? undefined : `DR6 ${found.toString(16)}`;
  };
const TF = "9c 58 0d00010000 50 9d";
const ends =
  (frameFlag: number, set: boolean) =>
  ({ frame }: { frame: readonly bigint[] }): Verdict =>
    ((Number(frame[2]) & frameFlag) !== 0) === set ? undefined : `flags ${String(frame[2])}`;

export const interruptCases: readonly Case[] = [
  {
    name: "INT through a gate of DPL 3 at CPL 3 → its handler, rip behind it",
    world: user,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: "cd30",
    expect: { vector: 0x30, at: 2 },
  },
  {
    name: "INT through a gate of DPL 0 at CPL 3 → #GP vector × 8 + 2",
    world: user,
    code: "cd30",
    expect: { vector: 13, error: 0x182, at: 0 },
  },
  {
    name: "INT3 through a gate of DPL 0 at CPL 3 → #GP 1A",
    world: user,
    code: "cc",
    expect: { vector: 13, error: 0x1a, at: 0 },
  },
  {
    name: "INT through an absent gate → #NP vector × 8 + 2",
    world: long,
    prepare: (w) => w.gate(0x30, { present: false }),
    code: "cd30",
    expect: { vector: 11, error: 0x182, at: 0 },
  },
  {
    name: "INT beyond the IDT's limit → #GP vector × 8 + 2",
    world: long,
    prepare: (w) => void (w.state.idtr.limit = 0x1ff),
    code: "cd30",
    expect: { vector: 13, error: 0x182 },
  },
  {
    name: "INT through what is no gate → #GP vector × 8 + 2",
    world: long,
    prepare: (w) => w.gate(0x30, { type: 12 }),
    code: "cd30",
    expect: { vector: 13, error: 0x182 },
  },
  {
    name: "gate to a null selector → #GP 0",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: 0 }),
    code: "cd30",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "gate to a data segment → #GP selector",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: Selector.data }),
    code: "cd30",
    expect: { vector: 13, error: Selector.data },
  },
  {
    name: "gate to 32-bit code in IA-32e mode → #GP selector",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: Selector.code32 }),
    code: "cd30",
    expect: { vector: 13, error: Selector.code32 },
  },
  {
    name: "gate to an absent code segment → #NP selector",
    world: long,
    prepare: (w) => {
      w.descriptor(Selector.free, descriptor(0, 0xfffff, 0x1b, 0xa));
      w.gate(0x30, { selector: Selector.free });
    },
    code: "cd30",
    expect: { vector: 11, error: Selector.free },
  },
  {
    name: "exception while delivering an external event → error code with EXT",
    world: long,
    prepare: (w) => {
      apic(w);
      w.gate(0x30, { present: false });
    },
    code: `fb ${selfIpi(0x30)} 90 f4`,
    expect: { vector: 11, error: 0x183 },
  },
  {
    name: "UD2 → #UD, rip at it, RF in its image",
    world: long,
    code: "0f0b",
    expect: { vector: 6, at: 0, check: ends(0x10000, true) },
  },
  {
    name: "INT n → no RF in its image",
    world: long,
    code: "cd30",
    expect: { vector: 0x30, check: ends(0x10000, false) },
  },
  {
    name: "interrupt gate → IF, TF, NT cleared",
    world: long,
    prepare: (w) => void (w.state.rflags |= 0x4200),
    code: "cd30",
    expect: {
      vector: 0x30,
      check: ({ state, frame }) =>
        (state.rflags & 0x4300) === 0 && (Number(frame[2]) & 0x4200) === 0x4200,
    },
  },
  {
    name: "trap gate → IF stays",
    world: long,
    prepare: (w) => {
      w.gate(0x30, { type: 15 });
      w.state.rflags |= 0x200;
    },
    code: "cd30",
    expect: { vector: 0x30, check: ({ state }) => (state.rflags & 0x200) !== 0 },
  },
  {
    name: "64-bit gate on a crooked stack → frame on 16 bytes, old RSP saved",
    world: long,
    prepare: (w) => void (w.state.registers[4] = BigInt(At.stackTop - 5)),
    code: "cd30",
    expect: {
      vector: 0x30,
      registers: { 4: BigInt(At.stackTop - 0x10 - 40) },
      check: ({ frame }) => Number(frame[3]) === At.stackTop - 5,
    },
  },
  {
    name: "gate with IST 1 → that stack, at CPL 0 too",
    world: long,
    prepare: (w) => w.gate(0x30, { ist: 1 }),
    code: "cd30",
    expect: { vector: 0x30, registers: { 4: BigInt(At.istTop - 40) } },
  },
  {
    name: "gate with IST 1 from CPL 3 → that stack, SS null",
    world: user,
    prepare: (w) => w.gate(0x30, { ist: 1, dpl: 3 }),
    code: "cd30",
    expect: {
      vector: 0x30,
      registers: { 4: BigInt(At.istTop - 40) },
      check: ({ state }) => state.segments.ss.selector === 0,
    },
  },
  {
    name: "gate with an IST beyond the TSS's limit → #TS of the TSS",
    world: long,
    prepare: (w) => {
      w.gate(0x30, { ist: 1 });
      w.state.segments.tr.limit = 0x23;
    },
    code: "cd30",
    expect: { vector: 10, error: Selector.tss },
  },
  {
    name: "stack of the TSS not canonical → #SS, then #DF by an IST",
    world: user,
    prepare: (w) => {
      w.u64(At.tss + 4, 1n << 47n);
      w.gate(0x30, { dpl: 3 });
      w.gate(8, { ist: 1 });
      w.gate(12, { ist: 1 });
    },
    code: "cd30",
    expect: { vector: 12, error: 0 },
  },
  {
    name: "SS of the TSS null in protected mode → #TS 0, and no stack for it: triple fault",
    world: { mode: "protected", cpl: 3, paging: "32-bit" },
    prepare: (w) => w.u32(At.tss + 8, 0),
    code: "0f0b",
    expect: { end: "shutdown" },
  },
  {
    name: "#GP whose gate is absent → #DF 0",
    world: long,
    prepare: (w) => w.gate(13, { present: false }),
    code: "66b80002 8ed8",
    expect: { vector: 8, error: 0 },
  },
  {
    name: "#UD whose gate is absent → #NP, not #DF",
    world: long,
    prepare: (w) => w.gate(6, { present: false }),
    code: "0f0b",
    expect: { vector: 11, check: ({ error }) => ((error as number) & ~1) === 0x32 },
  },
  {
    name: "#PF whose gate is absent → #DF 0",
    world: long,
    prepare: (w) => w.gate(14, { present: false }),
    code: "8a042500006000",
    expect: { vector: 8, error: 0 },
  },
  {
    name: "#DF whose gate is absent → triple fault",
    world: long,
    prepare: (w) => {
      w.gate(13, { present: false });
      w.gate(8, { present: false });
    },
    code: "66b80002 8ed8",
    expect: { end: "shutdown" },
  },
  {
    name: "empty IDT → triple fault",
    world: long,
    prepare: (w) => void (w.state.idtr.limit = 0),
    code: "0f0b",
    expect: { end: "shutdown" },
  },
  { name: "DIV by zero → #DE at it", world: long, code: "31c9 f7f1", expect: { vector: 0, at: 2 } },
  {
    name: "INTO with OF → #OF behind it",
    world: flat,
    prepare: (w) => void (w.state.rflags |= 0x800),
    code: "ce",
    expect: { vector: 4, at: 1 },
  },
  {
    name: "BOUND outside → #BR at it",
    world: flat,
    prepare: (w) => w.u64(At.data, 0x0000_0009_0000_0003n),
    code: `b802000000 6205${le(At.data, 4)}`,
    expect: { vector: 5, at: 5 },
  },
  {
    name: "real mode: INT → three words on the stack, IF and TF cleared",
    world: real,
    prepare: (w) => void (w.state.rflags |= 0x200),
    code: "cd30",
    expect: {
      vector: 0x30,
      at: 2,
      check: ({ frame, state }) =>
        Number(frame[1]) === At.code >> 4 &&
        (Number(frame[2]) & 0x200) !== 0 &&
        (state.rflags & 0x200) === 0,
    },
  },
  {
    name: "real mode: DIV by zero → vector 0 at it",
    world: real,
    code: "31c9 f7f1",
    expect: { vector: 0, at: 2 },
  },
  {
    name: "real mode: vector beyond the IDT's limit → #DF … shutdown or vector 8",
    world: real,
    prepare: (w) => void (w.state.idtr.limit = 0x1f),
    code: "cd30",
    expect: { end: "shutdown" },
  },
  {
    name: "real mode: word at FFFF → vector 13",
    world: real,
    code: "b8ffff 89c3 8b07",
    expect: { vector: 13, at: 5 },
  },
  {
    name: "16-byte instruction → #GP 0",
    world: long,
    code: `${"66".repeat(15)}90`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "15-byte instruction → executed",
    world: long,
    code: `${"66".repeat(14)}90 f4`,
    expect: { at: 16 },
  },
  { name: "LOCK on a register → #UD", world: long, code: "f0 01c0", expect: { vector: 6 } },
  {
    name: "LOCK on an instruction that has none → #UD",
    world: long,
    code: "f0 8b0425 00000200",
    expect: { vector: 6 },
  },
  {
    name: "LOCK ADD to memory → done",
    world: long,
    code: `b805000000 f0010425${le(At.data, 4)} f4`,
    expect: { check: (_, w) => w.readU32(At.data) === 5 },
  },
  {
    name: "crooked access at CPL 3, CR0.AM and AC set → #AC 0",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.data, 7n);
      w.state.cr0 |= 0x40000;
      w.state.rflags |= 0x40000;
    },
    code: "8b042501006000",
    expect: { vector: 17, error: 0, at: 0 },
  },
  {
    name: "crooked access at CPL 3, CR0.AM clear → done",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.data, 7n);
      w.state.rflags |= 0x40000;
      w.gate(0x30, { dpl: 3 });
    },
    code: "8b042501006000 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "crooked access at CPL 0, CR0.AM and AC set → done",
    world: long,
    prepare: (w) => {
      w.state.cr0 |= 0x40000;
      w.state.rflags |= 0x40000;
    },
    code: `8b0425${le(At.data + 1, 4)} f4`,
    expect: { at: 8 },
  },
  {
    name: "x87 instruction with CR0.TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "d9e8",
    expect: { vector: 7, at: 0 },
  },
  {
    name: "SSE instruction with CR0.TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "0f57c0",
    expect: { vector: 7 },
  },
  {
    name: "SSE instruction with CR4.OSFXSR clear → #UD",
    world: long,
    prepare: (w) => void (w.state.cr4 &= ~0x200),
    code: "0f57c0",
    expect: { vector: 6 },
  },
  {
    name: "x87 instruction with CR0.EM → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 4),
    code: "d9e8",
    expect: { vector: 7 },
  },
  {
    name: "SSE instruction with CR0.EM → #UD",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 4),
    code: "0f57c0",
    expect: { vector: 6 },
  },
  {
    name: "FWAIT with CR0.MP and TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "9b",
    expect: { vector: 7 },
  },
  {
    name: "CLTS → x87 usable again",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "0f06 d9e8 f4",
    expect: { at: 5 },
  },

  {
    name: "interrupt pending at STI → taken one instruction later",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb 90 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "interrupt pending, STI and CLI → not taken",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb fa 90 f4`,
    expect: { at: WRMSR_BYTES + 4 },
  },
  {
    name: "interrupt pending, IF set already: STI → no shadow",
    world: long,
    prepare: apic,
    code: `fb 90 ${selfIpi(0x40)} 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "interrupt pending at POPF that sets IF → taken at once",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} 6802020000 9d 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 6 },
  },
  {
    name: "interrupt pending at IRETQ that sets IF → taken at once",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} 6810000000 6800600000 6802020000 6808000000 68${le(At.code + WRMSR_BYTES + 0x1b, 4)} 48cf 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 0x1b },
  },
  {
    name: "interrupt pending at MOV SS under IF → taken one instruction later",
    world: long,
    prepare: (w) => {
      apic(w);
    },
    code: `${selfIpi(0x40)} 66b81000 fb 8ed0 90 90 f4`,
    expect: {
      vector: 0x40,
      check: ({ frame }) =>
        [WRMSR_BYTES + 7, WRMSR_BYTES + 8].includes(Number((frame[0] as bigint) & 0xfffn)),
    },
  },
  {
    name: "interrupt pending at STI before HLT → taken out of HLT",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "two interrupts pending → the higher vector first",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} ${selfIpi(0x55)} fb 90`,
    expect: { vector: 0x55 },
  },
  {
    name: "interrupt of a priority not above CR8 → waits",
    world: long,
    prepare: apic,
    code: `b804000000 440f22c0 ${selfIpi(0x4f)} fb 90 90 f4`,
    expect: { at: WRMSR_BYTES + 13 },
  },
  {
    name: "CR8 lowered → the interrupt that waited",
    world: long,
    prepare: apic,
    code: `b804000000 440f22c0 ${selfIpi(0x4f)} fb 90 31c0 440f22c0 90 f4`,
    expect: { vector: 0x4f, at: WRMSR_BYTES + 17 },
  },
  {
    name: "interrupt in service → one of the same priority waits for its end",
    world: long,
    prepare: (w) => {
      apic(w);
      // The first handler lets interrupts in and sends the second, of the same priority.
      w.gate(0x42, { offset: At.code + 0x100 });
      w.code(`fb ${selfIpi(0x41)} 90 f4`, At.code + 0x100);
    },
    code: `fb ${selfIpi(0x42)} 90 f4`,
    expect: { at: 0x100 + WRMSR_BYTES + 3 },
  },
  {
    name: "end of interrupt → the one that waited",
    world: long,
    prepare: (w) => {
      apic(w);
      w.gate(0x42, { offset: At.code + 0x100 });
      w.code(`fb ${selfIpi(0x41)} ${wrmsr(0x80b, 0)} 90 f4`, At.code + 0x100);
    },
    code: `fb ${selfIpi(0x42)} 90 f4`,
    expect: { vector: 0x41 },
  },
  {
    name: "NMI in an NMI's handler → waits for IRET, then taken",
    world: long,
    prepare: (w) => {
      apic(w);
      // inc eax; mov rbx, rsp; the first one sends itself another; iretq.
      w.gate(2, { offset: At.code + 0x100 });
      w.code(`41ffc0 4889e3 4183f801 7511 ${wrmsr(0x830, 0x44400)} 48cf`, At.code + 0x100);
    },
    code: `${wrmsr(0x830, 0x44400)} 90 f4`,
    expect: {
      registers: { 8: 2n },
      check: ({ state }) => state.registers[3] === BigInt(At.stackTop - 40),
    },
  },
  {
    name: "NMI with IF clear → taken",
    world: long,
    prepare: apic,
    code: `${wrmsr(0x830, 0x44400)} 90 f4`,
    expect: { vector: 2, at: WRMSR_BYTES },
  },

  {
    name: "TF set by POPF → #DB behind the next instruction, DR6.BS",
    world: long,
    code: `${TF} 90 90 f4`,
    expect: { vector: 1, at: 10, check: status(0x4000n) },
  },
  {
    name: "TF and a repeated string instruction → #DB after one round",
    world: long,
    prepare: (w) => {
      w.state.registers[1] = 3n;
      w.state.registers[7] = BigInt(At.data);
    },
    code: `${TF} f3aa f4`,
    expect: { vector: 1, at: 9, registers: { 1: 2n } },
  },
  {
    name: "TF and MOV SS → #DB one instruction later",
    world: long,
    code: `66b91000 ${TF} 8ed1 90 90 f4`,
    expect: { vector: 1, check: ({ frame }) => Number((frame[0] as bigint) & 0xfffn) === 16 },
  },
  {
    name: "TF and INT n → the handler runs without it",
    world: long,
    code: `${TF} cd30`,
    expect: { vector: 0x30 },
  },
  {
    name: "TF and SYSCALL that masks TF → the handler's #DB comes not",
    world: user,
    prepare: (w) => {
      w.state.msrs = {
        0xc0000081: 0x0023_0008_0000_0000n,
        0xc0000082: BigInt(At.handlers + 0x66),
        0xc0000084: 0x100n,
      };
    },
    code: `${TF} 0f05`,
    expect: { vector: 0x66 },
  },
  {
    name: "TF returned by IRETQ → #DB behind the instruction returned to",
    world: long,
    code: `6810000000 6800600000 6802010000 6808000000 68${le(At.code + 0x1b, 4)} 48cf 90 90 f4`,
    expect: { vector: 1, at: 0x1c },
  },
  {
    name: "code breakpoint → #DB at the instruction, DR6.B0, RF clear in the image",
    world: long,
    prepare: dr([0, BigInt(At.code + 2)], [7, 0x401n]),
    code: "90 90 90 f4",
    expect: {
      vector: 1,
      at: 2,
      check: (ending) => status(1n)(ending) ?? ends(0x10000, false)(ending),
    },
  },
  {
    name: "code breakpoint, RF set in the image by the handler → the instruction runs once",
    world: long,
    prepare: (w) => {
      dr([0, BigInt(At.code + 2)], [7, 0x401n])(w);
      w.gate(1, { offset: At.code + 0x100 });
      w.code("41ffc0 48814c241000000100 48cf", At.code + 0x100);
    },
    code: "90 90 90 f4",
    expect: { at: 4, registers: { 8: 1n } },
  },
  {
    name: "data breakpoint on writes, written → #DB behind the instruction, DR6.B1",
    world: long,
    prepare: dr([1, BigInt(At.data)], [7, 0xd00404n]),
    code: `8b0425${le(At.data, 4)} 890425${le(At.data, 4)} 90 f4`,
    expect: { vector: 1, at: 14, check: status(2n) },
  },
  {
    name: "data breakpoint on writes, a byte beside it written → nothing",
    world: long,
    prepare: dr([1, BigInt(At.data)], [7, 0xd00404n]),
    code: `880425${le(At.data + 4, 4)} 90 f4`,
    expect: { at: 9 },
  },
  {
    name: "data breakpoint on reads and writes, read → #DB",
    world: long,
    prepare: dr([2, BigInt(At.data + 2)], [7, 0x3000410n]),
    code: `8b0425${le(At.data, 4)} 90 f4`,
    expect: { vector: 1, at: 7, check: status(4n) },
  },
  {
    name: "data breakpoint met by PUSH → #DB behind it",
    world: long,
    prepare: dr([3, BigInt(At.stackTop - 8)], [7, 0x90000440n]),
    code: "50 90 f4",
    expect: { vector: 1, at: 1, check: status(8n) },
  },
  {
    name: "breakpoint register that is not enabled → nothing",
    world: long,
    prepare: dr([0, BigInt(At.code + 1)]),
    code: "90 90 f4",
    expect: { at: 3 },
  },
  {
    name: "I/O breakpoint, CR4.DE set, port written → #DB behind the OUT, DR6.B2",
    world: long,
    prepare(w) {
      w.state.debug[2] = 0x80n;
      w.state.debug[7] = 0x2000410n;
      w.state.cr4 |= 8;
    },
    code: "e681 e680 90",
    expect: {
      vector: 1,
      at: 4,
      check: ({ state }) => ((state.debug[6] as bigint) & 15n) === 4n,
    },
  },
  {
    name: "I/O breakpoint, CR4.DE clear → nothing",
    world: long,
    prepare(w) {
      w.state.debug[2] = 0x80n;
      w.state.debug[7] = 0x2000410n;
    },
    code: "e680 f4",
    expect: { at: 3 },
  },
  {
    name: "I/O breakpoint at an address that data is written to → nothing",
    world: long,
    prepare(w) {
      w.state.debug[2] = BigInt(At.data);
      w.state.debug[7] = 0x2000410n;
      w.state.cr4 |= 8;
    },
    code: `c60425${le(At.data, 4)}01 f4`,
    expect: { at: 9 },
  },
  {
    name: "#DB by single step while DR7.GD is set → GD cleared for the handler",
    world: long,
    prepare(w) {
      w.state.rflags = 0x102;
      w.state.debug[7] = 0x2400n;
    },
    code: "90 90",
    expect: { vector: 1, at: 1, check: ({ state }) => state.debug[7] === 0x400n },
  },
  {
    name: "MOV DR with DR7.GD → #DB, DR6.BD, GD cleared",
    world: long,
    prepare: dr([7, 0x2400n]),
    code: "0f21c0",
    expect: {
      vector: 1,
      at: 0,
      check: (ending) =>
        status(0x2000n)(ending) ?? ((ending.state.debug[7] as bigint) & 0x2000n) === 0n,
    },
  },
  {
    name: "MOV DR4 with CR4.DE → #UD",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 8),
    code: "0f21e0",
    expect: { vector: 6 },
  },
  {
    name: "MOV DR4 without CR4.DE → DR6",
    world: long,
    code: "0f21e0 f4",
    expect: { registers: { 0: 0xffff0ff0n } },
  },
  {
    name: "MOV DR6 with bits above 31 → #GP 0",
    world: long,
    code: "48b80000000001000000 0f23f0",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "MOV DR at CPL 3 → #GP 0",
    world: user,
    code: "0f21c0",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "INT1 at CPL 3 → #DB behind it, whatever the gate's DPL",
    world: user,
    code: "f1",
    expect: { vector: 1, at: 1 },
  },
  {
    name: "compatibility mode: INT3 → 64-bit frame",
    world: compatibility,
    prepare: (w) => w.gate(3, { dpl: 3 }),
    code: "cc",
    expect: {
      vector: 3,
      at: 1,
      check: ({ frame }) =>
        Number(frame[1]) === Selector.userCode32 && frame[3] === User.stackTop - 0x100n,
    },
  },

  {
    name: "REP MOVSB into an absent page → #PF with the bytes before it moved",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = 0x600ff8n;
    },
    code: "f3a4 f4",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x601000n,
      at: 0,
      registers: { 1: 8n, 6: BigInt(At.data + 8), 7: 0x601000n },
    },
  },
  {
    name: "REP MOVSB backwards into an absent page → #PF with the bytes before it moved",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data + 0x100);
      w.state.registers[7] = 0x600007n;
      w.state.rflags |= 0x400;
    },
    code: "f3a4 f4",
    expect: { vector: 14, error: 2, cr2: 0x5fffffn, registers: { 1: 8n, 7: 0x5fffffn } },
  },
  {
    name: "REP STOSQ over the end of a page → #PF, the last word not half written",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[0] = -1n & 0xffffffffffffffffn;
      w.state.registers[1] = 4n;
      w.state.registers[7] = 0x600ff4n;
    },
    code: "f348ab f4",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x601000n,
      registers: { 1: 3n, 7: 0x600ffcn },
      check: (_, w) => w.readU32(At.data + 0x1ffc) === 0,
    },
  },
  {
    name: "REPE CMPSB into an absent page → #PF, flags of the round before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = 0x600ffen;
    },
    code: "f3a6 f4",
    expect: { vector: 14, cr2: 0x601000n, registers: { 1: 14n }, check: ends(0x40, true) },
  },
  {
    name: "ADD to a read-only page → #PF, register and flags as before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data, P);
      w.state.rflags |= 0x8d5;
      w.state.registers[0] = 5n;
    },
    code: "480104 2500006000",
    expect: {
      vector: 14,
      error: 3,
      registers: { 0: 5n },
      check: ({ frame }) => (Number(frame[2]) & 0x8d5) === 0x8d5,
    },
  },
  {
    name: "XCHG with a read-only page → #PF, register as before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data, P);
      w.state.registers[0] = 5n;
    },
    code: "48870425 00006000",
    expect: { vector: 14, error: 3, registers: { 0: 5n } },
  },
  {
    name: "POP to an absent page → #PF, RSP as before",
    world: long,
    code: "8f0425 00006000",
    expect: {
      vector: 14,
      error: 2,
      registers: {},
      check: ({ frame }) => Number(frame[3]) === At.stackTop,
    },
  },
  {
    name: "PUSH of an absent page → #PF, RSP as before",
    world: long,
    code: "ff3425 00006000",
    expect: { vector: 14, error: 0, check: ({ frame }) => Number(frame[3]) === At.stackTop },
  },
  {
    name: "CALL with its stack in an absent page → #PF at the call",
    world: long,
    prepare: (w) => {
      w.state.registers[4] = 0x601000n;
      w.gate(14, { ist: 1 });
    },
    code: "e800010000",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x600ff8n,
      at: 0,
      check: ({ frame }) => frame[3] === 0x601000n,
    },
  },
  {
    name: "ENTER with its last slot in an absent page → #PF, RSP and RBP as before",
    world: long,
    prepare: (w) => {
      w.state.registers[4] = 0x601008n;
      w.state.registers[5] = 0x77n;
      w.page(0x601000n, At.data, P | W);
      w.gate(14, { ist: 1 });
    },
    code: "c8100000",
    expect: {
      vector: 14,
      check: ({ frame, state }) => frame[3] === 0x601008n && state.registers[5] === 0x77n,
    },
  },
];
