import {
  flat,
  paged,
  user,
  Task,
  Gate,
  Code,
  Data,
  Ldt,
  TSS,
  START,
  HANDLER_TSS,
  HANDLER_STACK,
  LEGACY_LDT,
  BUSY,
  EDI,
  task,
  narrowTask,
  handlerTask,
  jump,
  call,
  taskGate,
  busy,
  nested,
  inTask,
} from "./task-world.ts";
import { At, P, Selector, U, W, descriptor } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

// Faults of a task switch, in the old task or the new one (Intel SDM vol. 3, table 8-1).

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

export const taskRefusalCases: readonly Case[] = [
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

export const taskReturnCases: readonly Case[] = [
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

export const taskStateCases: readonly Case[] = [
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
