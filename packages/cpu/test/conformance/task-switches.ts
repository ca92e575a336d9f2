import {
  flat,
  paged,
  user,
  Task,
  Gate,
  Code,
  Ldt,
  TSS,
  START,
  STACK,
  LEGACY_LDT,
  EDI,
  task,
  narrowTask,
  jump,
  call,
  taskGate,
  busy,
  nested,
  inTask,
  saved,
} from "./task-world.ts";
import { At, Selector, descriptor } from "./world.ts";
import type { Case } from "./world.ts";

/** What a task switch saves, loads and marks (Intel SDM vol. 3, 8.3). */
export const taskSwitchCases: readonly Case[] = [
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
