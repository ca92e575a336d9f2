import { At, P, Selector, U, W, descriptor, gate, le } from "./world.ts";
import type { Case, Ending, World, WorldOptions } from "./world.ts";

/** Hardware task switching (Intel SDM vol. 3, chapter 8). */
const flat: WorldOptions = { mode: "protected" };
const paged: WorldOptions = { mode: "protected", paging: "32-bit" };
const user: WorldOptions = { mode: "protected", cpl: 3, paging: "32-bit" };

/** Selectors of the slots that these cases fill. */
const Task = 0x50;
const Gate = 0x58;
const Code = 0x60;
const Data = 0x68;
const Ldt = 0x70;
const Handler = 0x78;

/** Where the new task's TSS, its first instruction and its stack lie. */
const TSS = At.data;
const START = At.code + 0x800;
const STACK = 0x6800;
/** TSS, stack and code of a task that handles exceptions. */
const HANDLER_TSS = At.data + 0x100;
const HANDLER_START = At.code + 0xc00;
const HANDLER_STACK = 0x6000;
const LEGACY_LDT = At.ldt;

const AVAILABLE = 0x89;
const BUSY = 0x8b;
const NARROW = 0x81;

const EDI = 0x77777777n;

/** What a task's TSS holds where it is not as usual. */
interface TaskState {
  readonly at?: number;
  readonly slot?: number;
  readonly access?: number;
  readonly limit?: number;
  readonly link?: number;
  readonly cr3?: number;
  readonly eip?: number;
  readonly esp?: number;
  readonly eflags?: number;
  readonly es?: number;
  readonly cs?: number;
  readonly ss?: number;
  readonly ds?: number;
  readonly fs?: number;
  readonly gs?: number;
  readonly ldt?: number;
  readonly trap?: boolean;
}

/** A task that can be switched to: its descriptor and its 32-bit TSS. Its program is HLT. */
function task(w: World, state: TaskState = {}): void {
  const { at = TSS, slot = Task, access = AVAILABLE, limit = 0x67 } = state;
  const { eip = START, esp = STACK, eflags = 2, cs = Selector.code32 } = state;
  w.descriptor(slot, descriptor(at, limit, access, 0));
  w.u32(at, state.link ?? 0);
  w.u32(at + 4, At.innerTop);
  w.u32(at + 8, Selector.data);
  w.u32(at + 0x1c, state.cr3 ?? At.tables);
  w.u32(at + 0x20, eip);
  w.u32(at + 0x24, eflags);
  [0x11, 0x22, 0x33, 0x44].forEach((value, i) => w.u32(at + 0x28 + i * 4, value));
  [esp, 0x55, 0x66, Number(EDI)].forEach((value, i) => w.u32(at + 0x38 + i * 4, value));
  const { es, ss, ds, fs, gs } = state;
  [es, cs, ss, ds, fs, gs].forEach((selector, i) =>
    w.u32(at + 0x48 + i * 4, selector ?? Selector.data),
  );
  w.u32(at + 0x60, state.ldt ?? 0);
  w.u32(at + 0x64, (state.trap === true ? 1 : 0) | (0x68 << 16));
  if (eip === START) w.code("f4", START);
}

/** The same with a 16-bit TSS. */
function narrowTask(w: World, limit = 0x2b, ds = 0): void {
  w.descriptor(Code, descriptor(At.code, 0xffff, 0x9b, 0));
  w.descriptor(Data, descriptor(0, 0xffff, 0x93, 0));
  w.descriptor(Task, descriptor(TSS, limit, NARROW, 0));
  const words = [START - At.code, 2, 0x11, 0x22, 0x33, 0x44, STACK, 0x55, 0x66, 0x7777];
  words.forEach((value, i) => w.u16(TSS + 0x0e + i * 2, value));
  [Data, Code, Data, ds].forEach((selector, i) => w.u16(TSS + 0x22 + i * 2, selector));
  w.u16(TSS + 0x2a, 0);
  w.code("f4", START);
}

/** A task for a vector: through a task gate of the IDT. */
function handlerTask(w: World, vector: number): void {
  task(w, {
    at: HANDLER_TSS,
    slot: Handler,
    eip: HANDLER_START,
    esp: HANDLER_STACK,
  });
  w.code("f4", HANDLER_START);
  w.gate(vector, { type: 5, selector: Handler, offset: 0 });
}

const jump = (selector: number): string => `ea00000000${le(selector, 2)}`;
const call = (selector: number): string => `9a00000000${le(selector, 2)}`;
const taskGate = (w: World, selector: number, access: number): void =>
  w.descriptor(Gate, gate(selector, 0, access));

const busy = (w: World, selector: number): boolean =>
  ((w.readU64(At.gdt + selector) >> 41n) & 1n) === 1n;
const nested = ({ state }: Ending): boolean => (state.rflags & 0x4000) !== 0;
const inTask = ({ state }: Ending): boolean => state.segments.tr.selector === Task;

/** The old task's saved word at an offset of its TSS. */
const saved = (w: World, offset: number): number => w.readU32(At.tss + offset);

/** A fault of the switch while the old task is still the current one: nothing has changed. */
const refused = (
  name: string,
  prepare: (world: World) => void,
  expect: { vector: number; error: number },
  code = jump(Task),
  world: WorldOptions = flat,
): Case => ({
  name,
  world,
  prepare,
  code,
  expect: {
    ...expect,
    at: 0,
    check: ({ state }) => state.segments.tr.selector === Selector.tss && (state.cr0 & 8) === 0,
  },
});

/** A fault of the new task before its first instruction. */
const entered = (
  name: string,
  prepare: (world: World) => void,
  expect: { vector: number; error: number },
): Case => ({
  name,
  world: flat,
  prepare,
  code: jump(Task),
  expect: {
    ...expect,
    check: (ending, w) =>
      inTask(ending) &&
      Number(ending.frame[0]) === START &&
      ending.state.registers[7] === EDI &&
      busy(w, Task),
  },
});

/** A fault of the new task that only a handler of its own task can be told of: its CS or SS is not there. */
const handledElsewhere = (
  name: string,
  vector: number,
  error: number,
  prepare: (world: World) => void,
): Case => ({
  name,
  world: flat,
  prepare(w) {
    task(w);
    prepare(w);
    handlerTask(w, vector);
  },
  code: jump(Task),
  expect: {
    at: 0xc01,
    registers: { 4: BigInt(HANDLER_STACK - 4) },
    check: (_, w) =>
      w.readU32(HANDLER_STACK - 4) === error &&
      w.readU32(HANDLER_TSS) === Task &&
      w.readU32(TSS + 0x20) === START,
  },
});

const switches: readonly Case[] = [
  {
    name: "JMP to an available TSS → its registers, segments and flags; CR0.TS; the busy bit moves",
    world: flat,
    prepare(w) {
      task(w, { eflags: 0x0cd7, fs: 0, gs: 0 });
      w.state.rflags = 2;
    },
    code: jump(Task),
    expect: {
      at: 0x801,
      registers: { 0: 0x11n, 1: 0x22n, 2: 0x33n, 3: 0x44n, 4: BigInt(STACK), 5: 0x55n, 7: EDI },
      check: (ending, w) =>
        inTask(ending) &&
        ending.state.rflags === 0x0cd7 &&
        (ending.state.cr0 & 8) !== 0 &&
        ending.state.segments.fs.selector === 0 &&
        ending.state.segments.tr.base === BigInt(TSS) &&
        busy(w, Task) &&
        !busy(w, Selector.tss),
    },
  },
  {
    name: "JMP to a TSS → the old task's state in its TSS, CR3, LDT and link untouched",
    world: flat,
    prepare(w) {
      task(w);
      w.state.rflags = 0xcd7;
      w.state.registers[0] = 0xaaaaaaaan;
      w.state.registers[7] = 0xbbbbbbbbn;
      w.u32(At.tss + 0x1c, 0x1234);
      w.u32(At.tss + 0x60, 0x5678);
    },
    code: jump(Task),
    expect: {
      at: 0x801,
      check: (_, w) =>
        saved(w, 0x20) === At.code + 7 &&
        saved(w, 0x24) === 0xcd7 &&
        saved(w, 0x28) === 0xaaaaaaaa &&
        saved(w, 0x38) === At.stackTop &&
        saved(w, 0x44) === 0xbbbbbbbb &&
        (saved(w, 0x4c) & 0xffff) === Selector.code32 &&
        (saved(w, 0x5c) & 0xffff) === Selector.data &&
        saved(w, 0x1c) === 0x1234 &&
        saved(w, 0x60) === 0x5678 &&
        saved(w, 0) === 0,
    },
  },
  {
    name: "CALL to a TSS → nested: NT, the link, both busy",
    world: flat,
    prepare: (w) => task(w),
    code: call(Task),
    expect: {
      at: 0x801,
      check: (ending, w) =>
        nested(ending) &&
        (w.readU32(TSS) & 0xffff) === Selector.tss &&
        busy(w, Task) &&
        busy(w, Selector.tss) &&
        (saved(w, 0x24) & 0x4000) === 0,
    },
  },
  {
    name: "IRET of a called task → back behind the CALL, NT cleared in its image, available again",
    world: flat,
    prepare(w) {
      task(w);
      w.code("cf", START);
    },
    code: `${call(Task)} f4`,
    expect: {
      at: 8,
      check: (ending, w) =>
        ending.state.segments.tr.selector === Selector.tss &&
        !nested(ending) &&
        !busy(w, Task) &&
        busy(w, Selector.tss) &&
        w.readU32(TSS + 0x20) === START + 1 &&
        (w.readU32(TSS + 0x24) & 0x4000) === 0,
    },
  },
  {
    name: "CALL of a task twice → it goes on where it left",
    world: flat,
    prepare(w) {
      task(w);
      w.code("40 cf ebfc", START);
    },
    code: `${call(Task)} ${call(Task)} f4`,
    expect: { at: 15, check: (_, w) => w.readU32(TSS + 0x28) === 0x13 },
  },
  {
    name: "JMP through a task gate of DPL 3 at CPL 3 → the task, whatever its TSS's DPL",
    world: user,
    prepare(w) {
      task(w);
      taskGate(w, Task, 0xe5);
    },
    code: jump(Gate | 3),
    expect: { at: 0x801, check: inTask },
  },
  {
    name: "CALL through a task gate → nested",
    world: flat,
    prepare(w) {
      task(w);
      taskGate(w, Task, 0x85);
    },
    code: call(Gate),
    expect: { at: 0x801, check: (ending, w) => nested(ending) && busy(w, Selector.tss) },
  },
  {
    name: "JMP to a TSS of DPL 3 at CPL 3 → the task at its own level",
    world: user,
    prepare: (w) => task(w, { access: 0xe9 }),
    code: jump(Task | 3),
    expect: { at: 0x801, check: ({ state }) => state.segments.tr.selector === (Task | 3) },
  },
  {
    name: "16-bit TSS → word registers, FS and GS null",
    world: flat,
    prepare: (w) => narrowTask(w),
    code: jump(Task),
    expect: {
      at: 0x801,
      check: ({ state }) =>
        ((state.registers[7] as bigint) & 0xffffn) === 0x7777n &&
        state.segments.fs.selector === 0 &&
        state.segments.gs.selector === 0 &&
        state.segments.cs.selector === Code &&
        (state.segments.tr.attributes & 15) === 3,
    },
  },
  {
    name: "CALL to a 16-bit TSS and IRET → back in the 32-bit task, words saved",
    world: flat,
    prepare(w) {
      narrowTask(w);
      w.code("40 cf", START);
    },
    code: `${call(Task)} f4`,
    expect: {
      at: 8,
      check: (ending, w) =>
        ending.state.segments.tr.selector === Selector.tss &&
        (w.readU32(TSS + 0x0e) & 0xffff) === START - At.code + 2 &&
        (w.readU32(TSS + 0x12) & 0xffff) === 0x12,
    },
  },
  {
    name: "task with an LDT → loaded, and its segments",
    world: flat,
    prepare(w) {
      w.descriptor(Ldt, descriptor(LEGACY_LDT, 0xff, 0x82, 0));
      w.u64(LEGACY_LDT + 8, descriptor(At.data, 0xfff, 0x93, 4));
      task(w, { ldt: Ldt, ds: 0x0c });
    },
    code: jump(Task),
    expect: {
      at: 0x801,
      check: ({ state }) =>
        state.segments.ldtr.base === BigInt(LEGACY_LDT) &&
        state.segments.ds.base === BigInt(At.data),
    },
  },
  {
    name: "task with another CR3 → its page tables",
    world: paged,
    prepare(w) {
      // A second directory that shares the first's tables.
      w.u32(At.tables + 0x3f000, w.readU32(At.tables));
      task(w, { cr3: At.tables + 0x3f000 });
    },
    code: jump(Task),
    expect: { at: 0x801, check: ({ state }) => state.cr3 === BigInt(At.tables + 0x3f000) },
  },
  {
    name: "task while paging is off → CR3 stays",
    world: flat,
    prepare: (w) => task(w, { cr3: 0x7000 }),
    code: jump(Task),
    expect: { at: 0x801, check: ({ state }) => state.cr3 === BigInt(At.tables) },
  },
  {
    name: "task with VM in its flags → virtual-8086 mode",
    world: flat,
    prepare(w) {
      task(w, {
        eflags: 0x23002,
        cs: START >> 4,
        eip: 0,
        ss: 0x600,
        ds: 0x1234,
        esp: 0x100,
      });
      w.code("cd30", START);
      w.gate(0x30, { dpl: 3 });
    },
    code: jump(Task),
    expect: {
      vector: 0x30,
      check: ({ frame }) =>
        Number(frame[0]) === 2 &&
        Number(frame[1]) === START >> 4 &&
        (Number(frame[2]) & 0x20000) !== 0 &&
        Number(frame[4]) === 0x600 &&
        Number(frame[6]) === 0x1234,
    },
  },
  {
    name: "task switch → local breakpoints off, global ones on",
    world: flat,
    prepare(w) {
      task(w);
      w.state.debug[7] = 0x7ffn;
    },
    code: jump(Task),
    expect: { at: 0x801, check: ({ state }) => ((state.debug[7] as bigint) & 0x3ffn) === 0x2aan },
  },
  {
    name: "TSS with the T flag → #DB before the task's first instruction, DR6.BT",
    world: flat,
    prepare: (w) => task(w, { trap: true }),
    code: jump(Task),
    expect: {
      vector: 1,
      at: 0x800,
      check: (ending) =>
        inTask(ending) && ((ending.state.debug[6] as bigint) & 0xf00fn) === 0x8000n,
    },
  },
  {
    name: "TF in the old task → no #DB for the switch; TF in the new → #DB behind its first instruction",
    world: flat,
    prepare(w) {
      task(w, { eflags: 0x102 });
      w.code("90 f4", START);
      w.state.rflags = 0x102;
    },
    code: jump(Task),
    expect: {
      vector: 1,
      at: 0x801,
      check: ({ state }) => ((state.debug[6] as bigint) & 0xf000n) === 0x4000n,
    },
  },
  {
    name: "task with IF while an interrupt waits → taken before its first instruction",
    world: flat,
    prepare(w) {
      task(w, { eflags: 0x202 });
      // The program raises it itself: spurious-interrupt register, then a self-IPI.
      w.state.segments.ds.base = 0n;
    },
    code: `c705f000e0feff010000 c7050003e0fe31400400 ${jump(Task)}`,
    expect: { vector: 0x31, at: 0x800, check: inTask },
  },
];

const refusals: readonly Case[] = [
  refused("JMP to a busy TSS → #GP selector", (w) => task(w, { access: BUSY }), {
    vector: 13,
    error: Task,
  }),
  refused(
    "CALL to the current task → #GP selector",
    () => undefined,
    { vector: 13, error: Selector.tss },
    call(Selector.tss),
  ),
  refused("JMP to an absent TSS → #NP selector", (w) => task(w, { access: 0x09 }), {
    vector: 11,
    error: Task,
  }),
  refused(
    "JMP to a TSS of DPL 0 at CPL 3 → #GP selector",
    (w) => task(w),
    { vector: 13, error: Task },
    jump(Task),
    user,
  ),
  refused(
    "JMP to a TSS with a weaker RPL → #GP selector",
    (w) => task(w),
    { vector: 13, error: Task },
    jump(Task | 3),
  ),
  refused("32-bit TSS with a limit of 66h → #TS selector", (w) => task(w, { limit: 0x66 }), {
    vector: 10,
    error: Task,
  }),
  refused("16-bit TSS with a limit of 2Ah → #TS selector", (w) => narrowTask(w, 0x2a), {
    vector: 10,
    error: Task,
  }),
  refused(
    "task gate of DPL 0 at CPL 3 → #GP gate",
    (w) => {
      task(w);
      taskGate(w, Task, 0x85);
    },
    { vector: 13, error: Gate },
    jump(Gate),
    user,
  ),
  refused(
    "absent task gate → #NP gate",
    (w) => {
      task(w);
      taskGate(w, Task, 0x05);
    },
    { vector: 11, error: Gate },
    jump(Gate),
  ),
  refused(
    "task gate to a busy TSS → #GP TSS",
    (w) => {
      task(w, { access: BUSY });
      taskGate(w, Task, 0x85);
    },
    { vector: 13, error: Task },
    jump(Gate),
  ),
  refused(
    "task gate to an absent TSS → #NP TSS",
    (w) => {
      task(w, { access: 0x09 });
      taskGate(w, Task, 0x85);
    },
    { vector: 11, error: Task },
    jump(Gate),
  ),
  refused(
    "task gate with a selector of the LDT → #GP that selector",
    (w) => taskGate(w, Task | 4, 0x85),
    { vector: 13, error: Task | 4 },
    jump(Gate),
  ),
  refused(
    "task gate to a data segment → #GP that selector",
    (w) => taskGate(w, Selector.data, 0x85),
    { vector: 13, error: Selector.data },
    jump(Gate),
  ),
  refused(
    "task gate with a null selector → #GP 0",
    (w) => taskGate(w, 0, 0x85),
    { vector: 13, error: 0 },
    jump(Gate),
  ),
  refused(
    "current TSS too short to be saved to → #TS current task",
    (w) => {
      task(w);
      w.state.segments.tr.limit = 0x5e;
    },
    { vector: 10, error: Selector.tss },
  ),
  {
    name: "current TSS in a page that is not present → #PF at the JMP, the new TSS still available",
    world: paged,
    prepare(w) {
      task(w);
      w.state.segments.tr.base = 0x40_0fe0n;
      w.page(0x40_0000n, At.data + 0x2000, P | W | U);
      w.page(0x40_1000n, 0, 0n);
    },
    code: jump(Task),
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x40_1000n,
      at: 0,
      check: (_, w) => !busy(w, Task) && w.readU32(At.data + 0x2fe0) === 0,
    },
  },
  {
    name: "JMP to a TSS in IA-32e mode → #GP selector",
    world: { mode: "long", compatibility: true },
    prepare: (w) => task(w),
    code: jump(Task),
    expect: { vector: 13, error: Task, at: 0 },
  },
  {
    name: "IRET with NT in IA-32e mode → #GP 0",
    world: { mode: "long" },
    prepare: (w) => void (w.state.rflags = 0x4002),
    code: "48cf",
    expect: { vector: 13, error: 0, at: 0 },
  },
];

const nestedReturn = (
  name: string,
  link: number,
  prepare: (world: World) => void,
  expect: { vector: number; error: number },
): Case =>
  refused(
    name,
    (w) => {
      w.u32(At.tss, link);
      w.state.rflags = 0x4002;
      prepare(w);
    },
    expect,
    "cf",
  );

const returns: readonly Case[] = [
  nestedReturn("IRET to a TSS that is not busy → #TS link", Task, (w) => task(w), {
    vector: 10,
    error: Task,
  }),
  nestedReturn("IRET with a null link → #TS 0", 0, () => undefined, { vector: 10, error: 0 }),
  nestedReturn("IRET with a link into the LDT → #TS link", Task | 4, () => undefined, {
    vector: 10,
    error: Task | 4,
  }),
  nestedReturn("IRET with a link beyond the GDT → #TS link", 0x200, () => undefined, {
    vector: 10,
    error: 0x200,
  }),
  nestedReturn("IRET to a data segment → #TS link", Selector.data, () => undefined, {
    vector: 10,
    error: Selector.data,
  }),
  nestedReturn("IRET to an absent TSS → #NP link", Task, (w) => task(w, { access: 0x0b }), {
    vector: 11,
    error: Task,
  }),
  {
    name: "IRET to a busy TSS → the task, its own NT, the one left available",
    world: flat,
    prepare(w) {
      task(w, { access: BUSY, eflags: 0x4002 });
      w.u32(At.tss, Task);
      w.state.rflags = 0x4002;
    },
    code: "cf",
    expect: {
      at: 0x801,
      check: (ending, w) => nested(ending) && busy(w, Task) && !busy(w, Selector.tss),
    },
  },
];

const stateFaults: readonly Case[] = [
  entered(
    "new DS absent → #NP selector in the new task",
    (w) => {
      w.descriptor(Data, descriptor(0, 0xfffff, 0x13, 0xc));
      task(w, { ds: Data });
    },
    { vector: 11, error: Data },
  ),
  entered("new ES beyond the GDT → #TS selector in the new task", (w) => task(w, { es: 0x200 }), {
    vector: 10,
    error: 0x200,
  }),
  entered(
    "new FS execute-only → #TS selector in the new task",
    (w) => {
      w.descriptor(Data, descriptor(0, 0xfffff, 0x99, 0xc));
      task(w, { fs: Data });
    },
    { vector: 10, error: Data },
  ),
  entered(
    "new GS with a weaker RPL → #TS selector in the new task",
    (w) => {
      task(w, { gs: Selector.data | 3 });
    },
    { vector: 10, error: Selector.data },
  ),
  {
    name: "new EIP beyond CS's limit → #GP 0 in the new task, at it",
    world: flat,
    prepare(w) {
      w.descriptor(Code, descriptor(0, 0x100, 0x9b, 4));
      task(w, { cs: Code });
    },
    code: jump(Task),
    expect: { vector: 13, error: 0, check: (e) => inTask(e) && Number(e.frame[0]) === START },
  },
  handledElsewhere("new CS null → #TS 0 in the new task", 10, 0, (w) => w.u32(TSS + 0x4c, 0)),
  handledElsewhere("new CS a data segment → #TS selector in the new task", 10, Selector.data, (w) =>
    w.u32(TSS + 0x4c, Selector.data),
  ),
  handledElsewhere("new CS of another level than its RPL → #TS selector", 10, 0x20, (w) =>
    w.u32(TSS + 0x4c, 0x20),
  ),
  handledElsewhere("new CS absent → #NP selector in the new task", 11, Code, (w) => {
    w.descriptor(Code, descriptor(0, 0xfffff, 0x1b, 0xc));
    w.u32(TSS + 0x4c, Code);
  }),
  handledElsewhere("new SS null → #TS 0 in the new task", 10, 0, (w) => w.u32(TSS + 0x50, 0)),
  handledElsewhere("new SS of another level → #TS selector in the new task", 10, 0x28, (w) =>
    w.u32(TSS + 0x50, Selector.userData),
  ),
  handledElsewhere("new SS absent → #SS selector in the new task", 12, Data, (w) => {
    w.descriptor(Data, descriptor(0, 0xfffff, 0x13, 0xc));
    w.u32(TSS + 0x50, Data);
  }),
  handledElsewhere("new LDT no LDT → #TS selector in the new task", 10, Selector.data, (w) =>
    w.u32(TSS + 0x60, Selector.data),
  ),
  handledElsewhere("new LDT absent → #TS selector in the new task", 10, Ldt, (w) => {
    w.descriptor(Ldt, descriptor(LEGACY_LDT, 0xff, 0x02, 0));
    w.u32(TSS + 0x60, Ldt);
  }),
];

const events: readonly Case[] = [
  {
    name: "INT n through a task gate → nested task, old EIP behind it, no RF",
    world: flat,
    prepare: (w) => handlerTask(w, 0x30),
    code: "cd30",
    expect: {
      at: 0xc01,
      check: (ending, w) =>
        nested(ending) && saved(w, 0x20) === At.code + 2 && (saved(w, 0x24) & 0x10000) === 0,
    },
  },
  {
    name: "INT n through a task gate, IRET → behind the INT",
    world: flat,
    prepare(w) {
      handlerTask(w, 0x30);
      w.code("cf", HANDLER_START);
    },
    code: "cd30 f4",
    expect: { at: 3, check: (ending, w) => !nested(ending) && !busy(w, Handler) },
  },
  {
    name: "INT n through a task gate of DPL 0 at CPL 3 → #GP vector × 8 + 2",
    world: user,
    prepare: (w) => handlerTask(w, 0x30),
    code: "cd30",
    expect: { vector: 13, error: 0x30 * 8 + 2, at: 0 },
  },
  {
    name: "INT n through an absent task gate → #NP vector × 8 + 2",
    world: flat,
    prepare: (w) => w.gate(0x30, { type: 5, selector: Task, offset: 0, present: false }),
    code: "cd30",
    expect: { vector: 11, error: 0x30 * 8 + 2, at: 0 },
  },
  {
    name: "INT n through a task gate to a busy TSS → #GP TSS without EXT, at the INT",
    world: flat,
    prepare(w) {
      handlerTask(w, 0x30);
      w.descriptor(Handler, descriptor(HANDLER_TSS, 0x67, BUSY, 0));
    },
    code: "cd30",
    expect: { vector: 13, error: Handler, at: 0 },
  },
  {
    name: "#UD through a task gate to a busy TSS → #GP TSS with EXT",
    world: flat,
    prepare(w) {
      handlerTask(w, 6);
      w.descriptor(Handler, descriptor(HANDLER_TSS, 0x67, BUSY, 0));
    },
    code: "0f0b",
    expect: { vector: 13, error: Handler | 1, at: 0 },
  },
  {
    name: "#UD through a task gate, new DS absent → #NP selector with EXT in the new task",
    world: flat,
    prepare(w) {
      handlerTask(w, 6);
      w.descriptor(Data, descriptor(0, 0xfffff, 0x13, 0xc));
      w.u32(HANDLER_TSS + 0x54, Data);
    },
    code: "0f0b",
    expect: { vector: 11, error: Data | 1, at: 0xc00 },
  },
  {
    name: "#UD through a task gate → RF in the saved flags, EIP at it",
    world: flat,
    prepare: (w) => handlerTask(w, 6),
    code: "90 0f0b",
    expect: {
      at: 0xc01,
      check: (_, w) => saved(w, 0x20) === At.code + 1 && (saved(w, 0x24) & 0x10000) !== 0,
    },
  },
  {
    name: "#GP through a task gate → error code on the new task's stack",
    world: flat,
    prepare: (w) => handlerTask(w, 13),
    code: "66b80002 8ed8",
    expect: {
      at: 0xc01,
      registers: { 4: BigInt(HANDLER_STACK - 4) },
      check: (_, w) => w.readU32(HANDLER_STACK - 4) === 0x200,
    },
  },
  {
    name: "#GP through a task gate to a 16-bit TSS → a word on its stack",
    world: flat,
    prepare(w) {
      narrowTask(w);
      w.gate(13, { type: 5, selector: Task, offset: 0 });
    },
    code: "66b80002 8ed8",
    expect: {
      at: 0x801,
      check: ({ state }, w) =>
        Number(state.registers[4]) % 0x10000 === STACK - 2 &&
        (w.readU32(STACK - 2) & 0xffff) === 0x200,
    },
  },
  {
    name: "#GP through a task gate, no room for the error code → #SS with EXT",
    world: flat,
    prepare(w) {
      handlerTask(w, 13);
      w.descriptor(Data, descriptor(0, 0x5ffe, 0x93, 4));
      w.u32(HANDLER_TSS + 0x50, Data);
      w.u32(HANDLER_TSS + 0x38, 0x6002);
      task(w);
      w.gate(12, { type: 5, selector: Task, offset: 0 });
      w.gate(8, { type: 5, selector: Task, offset: 0 });
    },
    code: "66b80002 8ed8",
    // #SS while #GP is delivered makes a double fault.
    expect: {
      at: 0x801,
      check: (_, w) => w.readU32(STACK - 4) === 0 && w.readU32(TSS) === Handler,
    },
  },
  {
    name: "external interrupt through a task gate → nested task, old EIP at the next instruction",
    world: flat,
    prepare(w) {
      handlerTask(w, 0x31);
      w.state.rflags = 0x202;
    },
    code: "c705f000e0feff010000 c7050003e0fe31400400 90 f4",
    expect: {
      at: 0xc01,
      check: (ending, w) => nested(ending) && saved(w, 0x20) === At.code + 20,
    },
  },
  {
    name: "external interrupt through a task gate to a busy TSS → #GP TSS with EXT",
    world: flat,
    prepare(w) {
      handlerTask(w, 0x31);
      w.descriptor(Handler, descriptor(HANDLER_TSS, 0x67, BUSY, 0));
      w.state.rflags = 0x202;
    },
    code: "c705f000e0feff010000 c7050003e0fe31400400 90 f4",
    expect: { vector: 13, error: Handler | 1, at: 20 },
  },
  {
    name: "SS of the TSS null, #TS through a task gate → the handler, #TS 0 with EXT on its stack",
    world: user,
    prepare(w) {
      w.u32(At.tss + 8, 0);
      handlerTask(w, 10);
    },
    code: "0f0b",
    expect: {
      at: 0xc01,
      check: (_, w) => w.readU32(HANDLER_STACK - 4) === 1 && saved(w, 0x20) === 0x400000,
    },
  },
  {
    name: "SS of the TSS null and INT n, #TS through a task gate → #TS 0 without EXT, at the INT",
    world: user,
    prepare(w) {
      w.u32(At.tss + 8, 0);
      w.gate(0x30, { dpl: 3 });
      handlerTask(w, 10);
    },
    code: "90 cd30",
    expect: {
      at: 0xc01,
      check: (_, w) => w.readU32(HANDLER_STACK - 4) === 0 && saved(w, 0x20) === 0x400001,
    },
  },
  {
    name: "SS of the TSS null, #DF through a task gate → the double fault's handler",
    world: user,
    prepare(w) {
      w.u32(At.tss + 8, 0);
      handlerTask(w, 8);
    },
    code: "0f0b",
    expect: { at: 0xc01, check: (_, w) => w.readU32(HANDLER_STACK - 4) === 0 },
  },
  {
    name: "SS of the TSS of another level, #TS through a conforming handler → the handler at CPL 3",
    world: user,
    prepare(w) {
      w.u32(At.tss + 8, Selector.userData);
      w.descriptor(Code, descriptor(0, 0xfffff, 0x9f, 0xc));
      w.page(0x5000n, At.handlers, P | U);
      w.gate(10, { selector: Code, offset: At.handlers });
      // A loop: HLT would fault.
      w.code("ebfe", At.handlers);
    },
    code: "0f0b",
    expect: {
      end: "budget",
      check: ({ state }) =>
        state.segments.cs.selector === (Code | 3) && state.rip === BigInt(At.handlers),
    },
  },
  {
    name: "virtual-8086 program, exception through a task gate → VM in the saved flags",
    world: flat,
    prepare(w) {
      task(w, { eflags: 0x23002, cs: START >> 4, eip: 0, ss: 0x600, esp: 0x100 });
      w.code("0f0b", START);
      handlerTask(w, 6);
    },
    code: jump(Task),
    expect: {
      at: 0xc01,
      check: (_, w) =>
        (w.readU32(TSS + 0x24) & 0x20000) !== 0 &&
        w.readU32(TSS + 0x20) === 0 &&
        (w.readU32(TSS + 0x4c) & 0xffff) === START >> 4,
    },
  },
];

export const taskCases: readonly Case[] = [
  ...switches,
  ...refusals,
  ...returns,
  ...stateFaults,
  ...events,
];
