import { GuestMemory } from "@queztl/memory";
import { Flag, Segment, State } from "../../src/state/layout.ts";
import { RunStatus } from "../../src/state/status.ts";
import { setSegment } from "../../src/system/descriptors.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../../src/vcpu.ts";
import {
  CODE,
  CODE_BYTES,
  DATA,
  DATA_BYTES,
  SELECTOR,
  STACK,
  STACK_BYTES,
  TIMEOUT,
  WRITABLE_BYTES,
} from "./layout.ts";
import type { Instance, Outcome, VectorState } from "./layout.ts";

/** Guest-physical places. */
const PML4 = 0x1000;
const GDT = 0x8000;
const IDT = 0x9000;
const TSS = 0xa000;
/** One HLT for each vector, behind a page for the kernel's stack. */
const HANDLERS = 0xc000;
const KERNEL_STACK_TOP = 0xc000;
const CODE_AT = 0x20000;
const DATA_AT = 0x30000;
const STACK_AT = 0x40000;
/** Where the first 64 KiB are mapped for the supervisor. */
const KERNEL = 0xffff_8000_0000_0000n;

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const ACCESSED_DIRTY = 0x60n;
const NO_EXECUTE = 1n << 63n;

/** Instructions after which an instance counts as one that does not end. */
const BUDGET = 100_000;

function mapPages(memory: GuestMemory): void {
  // The tables themselves lie above what the kernel maps.
  let nextTable = 0x50000;
  const entryAt = (table: number, index: number): number => table + index * 8;
  const descend = (table: number, index: number): number => {
    const at = entryAt(table, index);
    if (memory.readUint64(at) === 0n) {
      memory.writeUint64(at, BigInt(nextTable) | PRESENT | WRITABLE | USER | ACCESSED_DIRTY);
      nextTable += 0x1000;
    }
    return Number(memory.readUint64(at) & 0xffffff000n);
  };
  const map = (linear: bigint, physical: number, pages: number, bits: bigint): void => {
    for (let page = 0; page < pages; page++) {
      const address = linear + BigInt(page * 4096);
      let table = PML4;
      for (const shift of [39n, 30n, 21n]) {
        table = descend(table, Number((address >> shift) & 511n));
      }
      const at = entryAt(table, Number((address >> 12n) & 511n));
      memory.writeUint64(at, BigInt(physical + page * 4096) | PRESENT | ACCESSED_DIRTY | bits);
    }
  };
  map(KERNEL, 0, 16, WRITABLE);
  map(CODE, CODE_AT, CODE_BYTES / 4096, USER);
  map(DATA, DATA_AT, WRITABLE_BYTES / 4096, USER | WRITABLE | NO_EXECUTE);
  map(
    DATA + BigInt(WRITABLE_BYTES),
    DATA_AT + WRITABLE_BYTES,
    (DATA_BYTES - WRITABLE_BYTES) / 4096,
    USER | NO_EXECUTE,
  );
  map(STACK, STACK_AT, STACK_BYTES / 4096, USER | WRITABLE | NO_EXECUTE);
}

/** The descriptors that Linux gives to programs and keeps for itself, by index. */
const LINUX_GDT: readonly bigint[] = [
  0n,
  0x00cf9b000000ffffn,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
];

function writeTables(memory: GuestMemory): void {
  LINUX_GDT.forEach((descriptor, index) => memory.writeUint64(GDT + index * 8, descriptor));
  memory.writeUint64(TSS + 4, KERNEL + BigInt(KERNEL_STACK_TOP));
  // No I/O bit map: it would begin behind the limit.
  memory.writeUint16(TSS + 102, 0x68);
  for (let vector = 0; vector < 256; vector++) {
    const handler = KERNEL + BigInt(HANDLERS + vector);
    // Linux lets programs use INT3, INTO and INT 0x80.
    const dpl = [3, 4, 0x80].includes(vector) ? 3n : 0n;
    const low = (handler & 0xffffn) | (0x10n << 16n) | ((handler & 0xffff0000n) << 32n);
    memory.writeUint64(IDT + vector * 16, low | (0x8en << 40n) | (dpl << 45n));
    memory.writeUint64(IDT + vector * 16 + 8, handler >> 32n);
    memory.writeUint8(HANDLERS + vector, 0xf4);
  }
}

/** The emulated processor in the surroundings that host-oracle.c makes: user mode, the same mappings. */
export class EmulatedHost {
  readonly cpu: Vcpu;
  readonly #memory: GuestMemory;
  readonly #image: Uint8Array;
  readonly #expected: Uint8Array;
  readonly #actual: Buffer;
  readonly #base: Buffer;
  #runs = 0;

  constructor(image: Uint8Array, tier: 0 | "eager" = 0) {
    this.#memory = new GuestMemory({
      ramBytes: 1 << 20,
      arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES + (1 << 16),
    });
    const memory = this.#memory;
    mapPages(memory);
    writeTables(memory);
    memory.writeBytes(CODE_AT, new Uint8Array(CODE_BYTES).fill(0xf4));
    memory.writeBytes(DATA_AT, image.subarray(0, DATA_BYTES));
    memory.writeBytes(STACK_AT, image.subarray(DATA_BYTES));
    this.#image = image;
    this.#expected = new Uint8Array(image);
    this.#base = Buffer.from(image);
    const { bytes } = memory;
    const at = memory.offsetOf(DATA_AT, 0);
    this.#actual = Buffer.from(bytes.buffer, at, STACK_AT - DATA_AT + STACK_BYTES);
    this.cpu = new Vcpu(createBoard(memory, undefined, undefined, { tier }), { id: 0 });
    this.#prepareSystem();
  }

  #prepareSystem(): void {
    const { cpu } = this;
    cpu.setU64(State.Cr0, 0x8005_0033n);
    cpu.setU64(State.Cr3, BigInt(PML4));
    // PAE, PGE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE, SMEP, SMAP.
    cpu.setU64(State.Cr4, 0x3506a0n);
    cpu.setU64(State.Efer, 0xd01n);
    cpu.setU64(State.Gdtr, KERNEL + BigInt(GDT));
    cpu.setU32(State.Gdtr + 8, LINUX_GDT.length * 8 - 1);
    cpu.setU64(State.Idtr, KERNEL + BigInt(IDT));
    cpu.setU32(State.Idtr + 8, 0xfff);
    cpu.setU64(State.Xcr0, 3n);
    setSegment(cpu, Segment.Tr, 0x40, KERNEL + BigInt(TSS), 0x67, 0x8b);
    setSegment(cpu, Segment.Ldtr, 0, 0n, 0, 0);
    cpu.sync();
  }

  /** Runs an instance until it faults. */
  run(instance: Instance): Outcome {
    const { cpu } = this;
    const memory = this.#memory;
    this.#runs++;
    memory.writeBytes(CODE_AT + instance.entry, instance.code);
    this.#place(instance);
    cpu.halted = cpu.shutdown = cpu.shadow = cpu.attention = false;
    cpu.setU32(State.Cpl, 3);
    const flat = 0xffffffff;
    const code = instance.mode === 64 ? 0xafb : 0xcfb;
    const selector = instance.mode === 64 ? SELECTOR.code64 : SELECTOR.code32;
    setSegment(cpu, Segment.Cs, selector, 0n, flat, code);
    for (const segment of [Segment.Es, Segment.Ss, Segment.Ds, Segment.Fs, Segment.Gs]) {
      setSegment(cpu, segment, SELECTOR.data, 0n, flat, 0xcf3);
    }
    cpu.setU64(cpu.segmentAt(Segment.Fs, 0), instance.fsBase);
    cpu.setU64(cpu.segmentAt(Segment.Gs, 0), instance.gsBase);
    // IF as Linux programs have it.
    cpu.flags = instance.rflags | Flag.If;
    instance.registers.forEach((value, i) => (cpu.registers[i] = value));
    cpu.rip = CODE + BigInt(instance.entry);
    if (instance.vectors !== undefined) writeVectors(cpu, instance.vectors);
    cpu.sync();
    // With and without translations at hand.
    if (this.#runs % 3 === 0) cpu.linear.tlb.flush(false);
    let status = cpu.runSlice(BUDGET);
    // Loading SS and the like stop the slice without ending the instance.
    while (status === RunStatus.Exit && cpu.cpl === 3) status = cpu.runSlice(BUDGET);
    const outcome = this.#outcome(status, instance);
    this.#restore(instance);
    return outcome;
  }

  #outcome(status: number, instance: Instance): Outcome {
    const { cpu } = this;
    let vector = TIMEOUT;
    let error = 0;
    let { rip, flags } = cpu;
    let rsp = cpu.registers[4] as bigint;
    let cs = cpu.u32(cpu.segmentAt(Segment.Cs, 12));
    let ss = cpu.u32(cpu.segmentAt(Segment.Ss, 12));
    if (status === RunStatus.Fault) {
      vector = cpu.u32(State.FaultVector);
      error = Math.max(0, cpu.view.getInt32(cpu.state + State.FaultError, true));
    } else if (cpu.cpl === 0) {
      // A software interrupt: the frame has what it interrupted. Errors on the way lie under it.
      vector = Number(rip - KERNEL) - HANDLERS - 1;
      let frame = Number((cpu.registers[4] as bigint) - KERNEL);
      if ([8, 10, 11, 12, 13, 14, 17].includes(vector)) {
        error = this.#memory.readUint32(frame);
        frame += 8;
      }
      rip = this.#memory.readUint64(frame);
      cs = this.#memory.readUint32(frame + 8);
      flags = this.#memory.readUint32(frame + 16);
      rsp = this.#memory.readUint64(frame + 24);
      ss = this.#memory.readUint32(frame + 32);
    }
    const registers = Array.from(cpu.registers);
    registers[4] = rsp;
    const selector = (segment: number): number => cpu.u32(cpu.segmentAt(segment, 12));
    const outcome = {
      vector,
      error,
      cr2: cpu.u64(State.Cr2),
      rip,
      rflags: flags,
      registers,
      fsBase: cpu.u64(cpu.segmentAt(Segment.Fs, 0)),
      gsBase: cpu.u64(cpu.segmentAt(Segment.Gs, 0)),
      selectors: [selector(0), cs, ss, selector(3), selector(4), selector(5)],
      ...this.#changes(),
    };
    return instance.vectors === undefined ? outcome : { ...outcome, vectors: readVectors(cpu) };
  }

  /** Data and stack as offsets in the image, with where they lie in `#actual`. */
  #areas(): readonly (readonly [image: number, actual: number, bytes: number, linear: bigint])[] {
    return [
      [0, 0, WRITABLE_BYTES, DATA],
      [DATA_BYTES, STACK_AT - DATA_AT, STACK_BYTES, STACK],
    ];
  }

  #place({ operandAddress, operand }: Instance): void {
    for (const [image, actual, bytes, linear] of this.#areas()) {
      for (let i = 0; i < operand.length; i++) {
        const at = Number(operandAddress - linear) + i;
        if (at < 0 || at >= bytes) continue;
        this.#expected[image + at] = operand[i] as number;
        this.#actual[actual + at] = operand[i] as number;
      }
    }
  }

  #changes(): Pick<Outcome, "changed" | "firstChanged" | "bytes" | "digest"> {
    let changed = 0;
    let firstChanged = 0n;
    let digest = 0;
    const bytes = new Uint8Array(48);
    for (const [image, actual, length, linear] of this.#areas()) {
      const now = this.#actual.subarray(actual, actual + length);
      const before = this.#expected.subarray(image, image + length);
      if (now.equals(before)) continue;
      for (let i = 0; i < length; i++) {
        if (now[i] === before[i]) continue;
        const address = linear + BigInt(i);
        if (changed === 0) firstChanged = address;
        changed++;
        digest = Math.imul(digest ^ Number(address), 0x01000193);
        digest = Math.imul(digest ^ (now[i] as number), 0x01000193);
        const distance = Number(address - firstChanged);
        if (distance < 48) bytes[distance] = (now[i] as number) ^ (before[i] as number);
      }
    }
    return { changed, firstChanged, bytes, digest: digest >>> 0 };
  }

  #restore(instance: Instance): void {
    const memory = this.#memory;
    memory.writeBytes(CODE_AT + instance.entry, new Uint8Array(instance.code.length).fill(0xf4));
    for (const [image, actual, length] of this.#areas()) {
      const base = this.#base.subarray(image, image + length);
      if (!this.#actual.subarray(actual, actual + length).equals(base)) {
        this.#actual.set(base, actual);
      }
    }
    const { operandAddress, operand } = instance;
    for (const [image, , bytes, linear] of this.#areas()) {
      for (let i = 0; i < operand.length; i++) {
        const at = Number(operandAddress - linear) + i;
        if (at >= 0 && at < bytes) this.#expected[image + at] = this.#image[image + at] as number;
      }
    }
  }
}

function writeVectors(cpu: Vcpu, v: VectorState): void {
  const bytes = new Uint8Array(cpu.view.buffer);
  const at = cpu.state;
  bytes.set(v.xmm, at + State.Xmm);
  cpu.setU32(State.Mxcsr, v.mxcsr);
  const half = (offset: number, value: number): void =>
    cpu.view.setUint16(at + offset, value, true);
  const top = (v.status >> 11) & 7;
  half(State.FpuControl, v.control);
  half(State.FpuStatus, v.status);
  half(State.FpuTag, v.tags);
  half(State.FpuOpcode, v.opcode);
  cpu.setU64(State.FpuIp, v.ip);
  cpu.setU64(State.FpuDp, v.dp);
  for (let i = 0; i < 8; i++) {
    bytes.set(v.st.subarray(i * 16, i * 16 + 16), at + State.Fpu + ((top + i) & 7) * 16);
  }
}

function readVectors(cpu: Vcpu): VectorState {
  const at = cpu.state;
  const half = (offset: number): number => cpu.view.getUint16(at + offset, true);
  const bytes = new Uint8Array(cpu.view.buffer);
  const top = (half(State.FpuStatus) >> 11) & 7;
  const st = new Uint8Array(128);
  for (let i = 0; i < 8; i++) {
    const from = at + State.Fpu + ((top + i) & 7) * 16;
    st.set(bytes.subarray(from, from + 10), i * 16);
  }
  return {
    xmm: bytes.slice(at + State.Xmm, at + State.Xmm + 256),
    st,
    mxcsr: cpu.u32(State.Mxcsr),
    control: half(State.FpuControl),
    status: half(State.FpuStatus) | (top << 11),
    tags: half(State.FpuTag),
    opcode: half(State.FpuOpcode),
    ip: cpu.u64(State.FpuIp),
    dp: cpu.u64(State.FpuDp),
  };
}
