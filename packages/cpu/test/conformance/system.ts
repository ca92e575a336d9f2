import { wrmsr } from "./interrupts.ts";
import { At, P, Selector, U, User, W, descriptor, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Modes, control registers, MSRs, ports and CPUID (Intel SDM vol. 3, chapters 2, 9 and 10; vol. 1, chapter 19). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const real: WorldOptions = { mode: "real" };

/** mov rax, cr; or eax, bits; mov cr, rax. */
const setBits = (cr: number, bits: number): string =>
  `0f20${le(0xc0 | (cr << 3), 1)} 0d${le(bits, 4)} 0f22${le(0xc0 | (cr << 3), 1)}`;

const refusedMsr = (what: string, index: number, value: bigint): Case => ({
  name: `WRMSR of ${what} → #GP 0 at it`,
  world: long,
  code: `${wrmsr(index, value)} f4`,
  expect: { vector: 13, error: 0, at: 15 },
});

const takenMsr = (what: string, index: number, value: bigint): Case => ({
  name: `WRMSR and RDMSR of ${what} → the value`,
  world: long,
  code: `${wrmsr(index, value)} 31c0 31d2 0f32 f4`,
  expect: { registers: { 0: value & 0xffffffffn, 2: value >> 32n } },
});

const privileged = (what: string, code: string): Case => ({
  name: `${what} at CPL 3 → #GP 0`,
  world: user,
  code,
  expect: { vector: 13, error: 0, at: 0 },
});

const bitmap =
  (...ports: readonly number[]) =>
  (world: World) => {
    const at = At.tss + 0x68;
    // The I/O map shares the page with nothing that matters here.
    world.machine.write(at, new Uint8Array(0x2001).fill(0xff).subarray(0, 0x100));
    for (const port of ports) {
      const [byte] = world.machine.read(at + (port >> 3), 1);
      world.machine.write(at + (port >> 3), Uint8Array.of((byte as number) & ~(1 << (port & 7))));
    }
    world.state.segments.tr.limit = 0x68 + 0x80;
  };

/** cpuid(leaf, subleaf); test one bit of a register; hlt if it is not promised; else the instruction and hlt. */
const promised = (
  what: string,
  leaf: number,
  register: "eax" | "ebx" | "ecx" | "edx",
  bit: number,
  code: string,
): Case => {
  const number = { eax: 0, ebx: 3, ecx: 1, edx: 2 }[register];
  // bt r32, imm8; jc +1; hlt
  const program = `b8${le(leaf, 4)} 31c9 0fa2 0fba${le(0xe0 | number, 1)}${le(bit, 1)} 7201 f4 ${code} 4d31ff 49ffc7 f4`;
  return {
    name: `CPUID promises ${what} → it works`,
    world: long,
    prepare: (w) => {
      w.state.cr4 |= 0x50000;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = BigInt(At.data + 0x100);
    },
    code: program,
    expect: {
      check: ({ state }) =>
        state.registers[15] === 1n ? undefined : "not promised, or not executed",
    },
  };
};

const absent = (what: string, code: string): Case => ({
  name: `${what}, which CPUID does not promise → #UD`,
  world: long,
  code,
  expect: { vector: 6, at: 0 },
});

export const systemCases: readonly Case[] = [
  {
    name: "real mode → protected mode: LGDT, CR0.PE, far jump",
    world: real,
    prepare: (w) => {
      w.code(`${le(0xff, 2)}${le(At.gdt, 4)}`, At.code + 0x80);
      w.code("66b81000 8ed8 8ed0 b877000000 f4", At.code + 0x40);
    },
    code: `2e660f011680 00 0f20c0 6683c801 0f22c0 66ea${le(At.code + 0x40, 4)}${le(Selector.code32, 2)}`,
    expect: {
      registers: { 0: 0x77n },
      check: ({ state }) => state.segments.cs.selector === Selector.code32 && (state.cr0 & 1) === 1,
    },
  },
  {
    name: "protected mode → 64-bit mode: PAE, CR3, EFER.LME, CR0.PG, far jump",
    world: flat,
    prepare: (w) => {
      w.u64(0x1000, 0x80000000n);
      // Identity map of 2 MiB: PML4 at 180000, PDPT, PD.
      w.u64(0x180000, 0x181003n);
      w.u64(0x181000, 0x182003n);
      w.u64(0x182000, 0x83n);
      w.code("48b81122334455667788 f4", At.code + 0x80);
    },
    code: `${setBits(4, 0x20)} b800001800 0f22d8 ${wrmsr(0xc0000080, 0x100)} 0f20c0 0d00000080 0f22c0 ea${le(At.code + 0x80, 4)}${le(Selector.code64, 2)}`,
    expect: {
      registers: { 0: 0x8877665544332211n },
      check: ({ state }) => (state.efer & 0x500) === 0x500,
    },
  },
  {
    name: "CR0.PG with EFER.LME but no CR4.PAE → #GP 0",
    world: flat,
    code: `${wrmsr(0xc0000080, 0x100)} 0f20c0 0d00000080 0f22c0 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "64-bit mode → CR0.PG cleared → #GP 0",
    world: long,
    code: "0f20c0 25ffffff7f 0f22c0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "compatibility mode → CR0.PG cleared, EFER.LMA gone",
    world: { mode: "long", compatibility: true },
    code: "0f20c0 25ffffff7f 0f22c0 f4",
    expect: { at: 12, check: ({ state }) => (state.efer & 0x400) === 0 },
  },
  {
    name: "protected mode → real mode by a 16-bit code segment",
    world: flat,
    prepare: (w) => {
      w.descriptor(Selector.free, descriptor(At.code, 0xffff, 0x9b, 0));
      w.code(`0f20c0 6683e0fe 0f22c0 ea${le(0x40, 2)}${le(At.code >> 4, 2)}`, At.code + 0x20);
      w.code("8cc8 f4", At.code + 0x40);
    },
    code: `ea20000000${le(Selector.free, 2)}`,
    expect: {
      check: ({ state }) =>
        state.segments.cs.selector === At.code >> 4 &&
        ((state.registers[0] as bigint) & 0xffffn) === BigInt(At.code >> 4),
    },
  },
  {
    name: "CR0.PG without PE → #GP 0",
    world: real,
    code: "0f20c0 660d00000080 0f22c0 f4",
    expect: { vector: 13 },
  },
  {
    name: "CR0.NW without CD → #GP 0",
    world: long,
    code: `${setBits(0, 0x20000000)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR4 with a reserved bit → #GP 0",
    world: long,
    code: `${setBits(4, 0x8000000)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR4.PAE cleared in IA-32e mode → #GP 0",
    world: long,
    code: "0f20e0 83e0df 0f22e0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR8 above 15 → #GP 0",
    world: long,
    code: "b810000000 440f22c0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR8 written → CR8 and TPR",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: `b805000000 440f22c0 b908080000 0f32 89c3 440f20c1 f4`,
    expect: { registers: { 3: 0x50n, 1: 5n } },
  },
  { name: "MOV to CR1 → #UD", world: long, code: "0f22c8", expect: { vector: 6 } },
  {
    name: "LMSW with PE clear → PE stays",
    world: flat,
    code: "31c0 0f01f0 0f20c0 f4",
    expect: { check: ({ state }) => (state.cr0 & 1) === 1 },
  },
  {
    name: "SMSW in 64-bit mode → CR0",
    world: long,
    code: "0f01e0 0f20c3 f4",
    expect: {
      check: ({ state }) =>
        ((state.registers[0] as bigint) & 0xffffffffn) ===
        ((state.registers[3] as bigint) & 0xffffffffn),
    },
  },
  {
    name: "SGDT, LGDT in 64-bit mode → ten bytes",
    world: long,
    code: `0f010425${le(At.data, 4)} 0f011425${le(At.data, 4)} f4`,
    expect: {
      check: (_, w) =>
        w.readU64(At.data + 2) === BigInt(At.gdt) && (w.readU32(At.data) & 0xffff) === 0xff,
    },
  },
  {
    name: "LGDT of a base that is not canonical → #GP 0",
    world: long,
    prepare: (w) => w.u64(At.data + 2, 1n << 47n),
    code: `0f011425${le(At.data, 4)}`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "LGDT with 16-bit operands → 24 bits of base",
    world: flat,
    prepare: (w) => w.u64(At.data, 0x7f00_2000_00ffn),
    code: `660f0115${le(At.data, 4)} f4`,
    expect: { check: ({ state }) => state.gdtr.base === BigInt(At.gdt) },
  },
  privileged("HLT", "f4"),
  privileged("LGDT", `0f011425${le(0x400000, 4)}`),
  privileged("LIDT", `0f011c25${le(0x400000, 4)}`),
  privileged("MOV from CR0", "0f20c0"),
  privileged("MOV to CR3", "0f22d8"),
  privileged("CLTS", "0f06"),
  privileged("INVD", "0f08"),
  privileged("WBINVD", "0f09"),
  privileged("INVLPG", "0f013c2500004000"),
  privileged("RDMSR", "0f32"),
  privileged("WRMSR", "0f30"),
  privileged("LMSW", "0f01f0"),
  privileged("CLI", "fa"),
  privileged("STI", "fb"),
  {
    name: "XSETBV at CPL 3 → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "0f01d1",
    expect: { vector: 13, error: 0 },
  },
  { name: "CLAC at CPL 3 → #UD", world: user, code: "0f01ca", expect: { vector: 6 } },
  {
    name: "SGDT, SIDT, SLDT, STR, SMSW at CPL 3 with CR4.UMIP → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 0x800),
    code: "0f00c8",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "STR at CPL 3 without CR4.UMIP → the selector",
    world: user,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: "0f00c8 cd30",
    expect: { vector: 0x30, registers: { 0: BigInt(Selector.tss) } },
  },
  {
    name: "RDTSC at CPL 3 with CR4.TSD → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 4),
    code: "0f31",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "RDPMC at CPL 3 without CR4.PCE → #GP 0",
    world: user,
    code: "31c9 0f33",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CLI at CPL 3 with IOPL 3 → done",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x3200;
      w.gate(0x30, { dpl: 3 });
    },
    code: "fa cd30",
    expect: { vector: 0x30, check: ({ frame }) => (Number(frame[2]) & 0x200) === 0 },
  },
  {
    name: "POPF at CPL 3 with IOPL 0 → IF and IOPL stay",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x200;
      w.gate(0x30, { dpl: 3 });
    },
    code: "6802300000 9d cd30",
    expect: { vector: 0x30, check: ({ frame }) => (Number(frame[2]) & 0x3200) === 0x200 },
  },
  {
    name: "WRFSBASE, RDFSBASE with CR4.FSGSBASE → the base",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x10000),
    code: "48b80011223344550000 f3480faed0 f3480faec3 f4",
    expect: { registers: { 3: 0x554433221100n } },
  },
  {
    name: "RDFSBASE without CR4.FSGSBASE → #UD",
    world: long,
    code: "f3480faec0",
    expect: { vector: 6 },
  },
  {
    name: "WRGSBASE of an address that is not canonical → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x10000),
    code: "48b80000000000800000 f3480faed8",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XGETBV without CR4.OSXSAVE → #UD",
    world: long,
    code: "31c9 0f01d0",
    expect: { vector: 6 },
  },
  {
    name: "XSETBV of 3, XGETBV → 3",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b803000000 0f01d1 31c0 0f01d0 f4",
    expect: { registers: { 0: 3n } },
  },
  {
    name: "XSETBV without x87 → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b802000000 0f01d1",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XSETBV of a component that is not offered → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b807000000 0f01d1",
    expect: { vector: 13, error: 0 },
  },

  {
    name: "RDMSR of one that does not exist → #GP 0",
    world: long,
    code: "b945230000 0f32",
    expect: { vector: 13, error: 0, at: 5 },
  },
  refusedMsr("one that does not exist", 0x2345, 0n),
  refusedMsr("EFER with a reserved bit", 0xc0000080, 0x8000n),
  refusedMsr("EFER.LME cleared while paging", 0xc0000080, 0x401n),
  refusedMsr("LSTAR with an address that is not canonical", 0xc0000082, 1n << 47n),
  refusedMsr("SYSENTER_EIP with an address that is not canonical", 0x176, 1n << 47n),
  refusedMsr("FS base with an address that is not canonical", 0xc0000100, 1n << 47n),
  refusedMsr("KERNEL_GS_BASE with an address that is not canonical", 0xc0000102, 1n << 47n),
  refusedMsr("PAT with a reserved type", 0x277, 2n),
  refusedMsr("SYSCALL_MASK with high bits", 0xc0000084, 1n << 32n),
  refusedMsr("TSC_AUX with high bits", 0xc0000103, 1n << 32n),
  refusedMsr("APIC_BASE with a reserved bit", 0x1b, 0xfee00901n),
  refusedMsr("APIC_BASE from disabled to x2APIC at once", 0x1b, 0xfee00500n),
  refusedMsr("an x2APIC register in xAPIC mode", 0x80b, 0n),
  takenMsr("LSTAR", 0xc0000082, 0xffffffff81000000n),
  takenMsr("STAR", 0xc0000081, 0x0023001000000000n),
  takenMsr("KERNEL_GS_BASE", 0xc0000102, 0xffff888000000000n),
  takenMsr("PAT", 0x277, 0x0007050600070106n),
  takenMsr("TSC_AUX", 0xc0000103, 0x12345678n),
  {
    name: "x2APIC: write to a read-only register → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x803, 0),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: EOI other than 0 → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x80b, 1),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: register that does not exist → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: "b940080000 0f32",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: back to xAPIC without disabling → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x1b, 0xfee00900),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IA32_TSC written, RDTSC → goes on from there",
    world: long,
    code: `${wrmsr(0x10, 0x5500000000n)} 0f31 f4`,
    expect: { check: ({ state }) => state.registers[2] === 0x55n },
  },
  {
    name: "RDTSCP → TSC_AUX in ECX",
    world: long,
    code: `${wrmsr(0xc0000103, 7)} 31c9 0f01f9 f4`,
    expect: { registers: { 1: 7n } },
  },
  {
    name: "RDPID → TSC_AUX",
    world: long,
    code: `${wrmsr(0xc0000103, 7)} f30fc7f8 f4`,
    expect: { registers: { 0: 7n } },
  },

  {
    name: "IN at CPL 0 → the device's value, upper half cleared",
    world: long,
    prepare: (w) => void (w.state.registers[0] = -1n & 0xffffffffffffffffn),
    code: "66ba3412 ed f4",
    expect: { registers: { 0: 0x5a5a5a5an } },
  },
  {
    name: "IN AL → the other bytes stay",
    world: long,
    prepare: (w) => void (w.state.registers[0] = 0x1122334455667788n),
    code: "e460 f4",
    expect: { registers: { 0: 0x112233445566775an } },
  },
  {
    name: "OUT of each size → the device sees it",
    world: long,
    code: "b811223344 e680 66e784 e788 f4",
    expect: {
      check: (_, w) =>
        JSON.stringify(w.machine.portWrites) ===
        JSON.stringify([
          [0x80, 1, 0x11],
          [0x84, 2, 0x2211],
          [0x88, 4, 0x44332211],
        ]),
    },
  },
  {
    name: "IN at CPL 3, IOPL 0, no map → #GP 0",
    world: user,
    code: "e460",
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "IN at CPL 3, IOPL 3 → done",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x3000;
      w.gate(0x30, { dpl: 3 });
    },
    code: "e460 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port clear in the map → done",
    world: user,
    prepare: (w) => {
      bitmap(0x60)(w);
      w.gate(0x30, { dpl: 3 });
    },
    code: "e460 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port set in the map → #GP 0",
    world: user,
    prepare: bitmap(0x60),
    code: "e461",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IN of two bytes at CPL 3, the second port set in the map → #GP 0",
    world: user,
    prepare: bitmap(0x67),
    code: "66e567",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IN of two bytes at CPL 3, both clear across a byte of the map → done",
    world: user,
    prepare: (w) => {
      bitmap(0x67, 0x68)(w);
      w.gate(0x30, { dpl: 3 });
    },
    code: "66e567 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port beyond the map → #GP 0",
    world: user,
    prepare: bitmap(),
    code: "66baff7f ec",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "REP OUTSB → each byte",
    world: long,
    prepare: (w) => {
      w.u32(At.data, 0x44332211);
      w.state.registers[1] = 3n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[2] = 0x80n;
    },
    code: "f36e f4",
    expect: {
      registers: { 1: 0n, 6: BigInt(At.data + 3) },
      check: (_, w) => w.machine.portWrites.map(([, , value]) => value).join() === "17,34,51",
    },
  },
  {
    name: "REP INSW → memory, RDI and RCX",
    world: long,
    prepare: (w) => {
      w.state.registers[1] = 3n;
      w.state.registers[7] = BigInt(At.data);
      w.state.registers[2] = 0x80n;
    },
    code: "66f36d f4",
    expect: {
      registers: { 1: 0n, 7: BigInt(At.data + 6) },
      check: (_, w) => w.readU64(At.data) === 0x5a5a5a5a5a5an,
    },
  },
  {
    name: "INSB to an absent page → #PF before the port is read",
    world: long,
    prepare: (w) => void (w.state.registers[7] = 0x600000n),
    code: "6c",
    expect: { vector: 14, error: 2, registers: { 7: 0x600000n } },
  },

  promised("CMPXCHG8B", 1, "edx", 8, "0fc70e"),
  promised("CMOV", 1, "edx", 15, "0f44c1"),
  promised("CLFLUSH", 1, "edx", 19, "0fae3e"),
  promised("SYSENTER's MSRs", 1, "edx", 11, "b974010000 0f32"),
  promised("MTRRs", 1, "edx", 12, "b9fe000000 0f32"),
  promised("PAT", 1, "edx", 16, "b977020000 0f32"),
  promised("MMX", 1, "edx", 23, "0fefc0 0f77"),
  promised("FXSAVE", 1, "edx", 24, "0fae06"),
  promised("SSE", 1, "edx", 25, "0f57c0"),
  promised("SSE2", 1, "edx", 26, "660fefc0"),
  promised("SSE3", 1, "ecx", 0, "660f7cc0"),
  promised("SSSE3", 1, "ecx", 9, "660f3800c0"),
  promised("CMPXCHG16B", 1, "ecx", 13, "480fc70e"),
  promised("PCID", 1, "ecx", 17, "0f20e0 0d00000200 0f22e0"),
  promised("SSE4.1", 1, "ecx", 19, "660f3810c0"),
  promised("SSE4.2", 1, "ecx", 20, "f20f38f1c0"),
  promised("x2APIC", 1, "ecx", 21, `${wrmsr(0x1b, 0xfee00d00)} b902080000 0f32`),
  promised("POPCNT", 1, "ecx", 23, "f30fb8c0"),
  promised("the TSC deadline", 1, "ecx", 24, "b9e0060000 0f32"),
  promised("XSAVE", 1, "ecx", 26, "31c9 0f01d0"),
  promised("RDRAND", 1, "ecx", 30, "0fc7f0"),
  promised("FSGSBASE", 7, "ebx", 0, "f30faec0"),
  promised("TSC_ADJUST", 7, "ebx", 1, "b93b000000 0f32"),
  promised("SMEP", 7, "ebx", 7, "0f20e0 0d00001000 0f22e0"),
  promised("ERMS", 7, "ebx", 9, "b901000000 f3a4"),
  promised("INVPCID", 7, "ebx", 10, "b802000000 660f38820425 00000200"),
  promised("RDSEED", 7, "ebx", 18, "0fc7f8"),
  promised("SMAP", 7, "ebx", 20, "0f20e0 0d00002000 0f22e0 0f01cb"),
  promised("CLFLUSHOPT", 7, "ebx", 23, "660fae3e"),
  promised("CLWB", 7, "ebx", 24, "660fae36"),
  promised("UMIP", 7, "ecx", 2, "0f20e0 0d00080000 0f22e0"),
  promised("RDPID", 7, "ecx", 22, "f30fc7f8"),
  promised("SPEC_CTRL", 7, "edx", 26, "b948000000 0f32"),
  promised("ARCH_CAPABILITIES", 7, "edx", 29, "b90a010000 0f32"),
  promised("SYSCALL", 0x80000001, "edx", 11, "b9810000c0 0f32"),
  promised("RDTSCP", 0x80000001, "edx", 27, "0f01f9"),
  promised("LAHF in 64-bit mode", 0x80000001, "ecx", 0, "9f 9e"),
  promised("PREFETCHW", 0x80000001, "ecx", 8, "0f0d0e"),
  absent("AVX", "c5f858c1"),
  absent("AES", "660f38dcc1"),
  absent("PCLMULQDQ", "660f3a44c100"),
  absent("MOVBE", "0f38f006"),
  absent("MONITOR", "0f01c8"),
  absent("RTM", "c7f800000000"),
  absent("SVM", "0f01d8"),
  absent("VMX", "0f01c1"),
  {
    name: "TZCNT and LZCNT, which CPUID does not promise → BSF and BSR",
    world: long,
    code: "b810000000 f30fbcc8 f30fbdd0 f4",
    expect: { registers: { 1: 4n, 2: 4n } },
  },
  {
    name: "CR4.OSXSAVE → CPUID shows it",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "b801000000 0fa2 0fbae11b 0f92c0 f4",
    expect: { check: ({ state }) => ((state.registers[0] as bigint) & 0xffn) === 1n },
  },

  {
    name: "store into the next instructions of the same block → the new ones run",
    world: long,
    code: "c60501000000f4 90 90 ffc0 f4",
    expect: { at: 9, registers: { 0: 0n } },
  },
  {
    name: "store into the immediate of the next instruction → the new one",
    world: long,
    code: `c7 05 01000000 44332211 b800000000 f4`,
    expect: { registers: { 0: 0x11223344n } },
  },
  {
    name: "loop that patches its own body → each round the new body",
    world: long,
    code: "b903000000 ffc3 fe0501000000 b000 ffc9 75f2 f4",
    expect: {
      registers: { 3: 3n },
      check: ({ state }) => ((state.registers[0] as bigint) & 0xffn) === 3n,
    },
  },
  {
    name: "store through another mapping of the code's page → the new instruction runs",
    world: long,
    prepare: (w) => w.page(0x600000n, At.code, P | W),
    code: `c60425${le(0x60000a, 4)}f4 90 90 90 ffc0 f4`,
    expect: { at: 11, registers: { 0: 0n } },
  },
  {
    name: "function on another page called, patched, called again → both versions",
    world: long,
    prepare: (w) => w.code("b001 c3", At.code + 0x1000),
    code: `e8fb0f0000 88c3 c60425${le(At.code + 0x1001, 4)}02 e8ec0f0000 f4`,
    expect: {
      check: ({ state }) =>
        ((state.registers[3] as bigint) & 0xffn) === 1n &&
        ((state.registers[0] as bigint) & 0xffn) === 2n,
    },
  },
  {
    name: "function whose page is remapped → the other page's code",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.code + 0x1000, P);
      w.page(0x700000n, w.entryAt(0x600000n) & ~0xfff, P | W);
      w.code("b001 c3", At.code + 0x1000);
      w.code("b002 c3", At.data);
      w.state.registers[6] = 0x600000n;
      w.state.registers[1] = BigInt(At.data) | P;
    },
    code: `ffd6 88c3 48890c25${le(0x700000, 4)} 0f013e ffd6 f4`,
    expect: {
      check: ({ state }) =>
        ((state.registers[3] as bigint) & 0xffn) === 1n &&
        ((state.registers[0] as bigint) & 0xffn) === 2n,
    },
  },
  {
    name: "instruction across two pages, its second half patched → the new value",
    world: long,
    prepare: (w) => {
      w.code("b811223344 c3", At.code + 0xffd);
    },
    code: `e8f80f0000 89c3 c60425${le(At.code + 0x1000, 4)}99 e8e90f0000 f4`,
    expect: { registers: { 3: 0x44332211n, 0: 0x44992211n } },
  },
  {
    name: "instruction across two pages, its second page remapped → the new value",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.code + 0x1000, P);
      w.page(0x601000n, At.code + 0x2000, P);
      w.page(0x700000n, w.entryAt(0x601000n) & ~0xfff, P | W);
      w.code("b81122", At.code + 0x1ffd);
      w.code("3344 c3", At.code + 0x2000);
      w.code("9999 c3", At.data);
      w.state.registers[6] = 0x600ffdn;
      w.state.registers[1] = BigInt(At.data) | P;
    },
    code: `ffd6 89c3 48890c25${le(0x700008, 4)} 0f013c2500106000 ffd6 f4`,
    expect: { registers: { 3: 0x44332211n, 0: 0x99992211n } },
  },
  {
    name: "REP STOSB over the code that follows → the new code runs",
    world: long,
    prepare: (w) => {
      w.state.registers[0] = 0xf4n;
      w.state.registers[1] = 4n;
      w.state.registers[7] = BigInt(At.code + 3);
    },
    code: "f3aa 90 90 90 90 90 ffc3",
    expect: { at: 4, registers: { 3: 0n } },
  },
  {
    name: "user page mapped into two addresses as code and data → what is written through one runs through the other",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.code, P | W | U);
      w.gate(0x30, { dpl: 3 });
    },
    code: `c60425${le(0x600009, 4)}30 cd31 90`,
    expect: { vector: 0x30, at: 10, check: ({ frame }) => frame[3] === User.stackTop - 0x100n },
  },
];
