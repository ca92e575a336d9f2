import {
  flat,
  user,
  Task,
  Code,
  Data,
  Handler,
  TSS,
  START,
  STACK,
  HANDLER_TSS,
  HANDLER_START,
  HANDLER_STACK,
  BUSY,
  task,
  narrowTask,
  handlerTask,
  jump,
  busy,
  nested,
  saved,
} from "./task-world.ts";
import { At, P, Selector, U, descriptor } from "./world.ts";
import type { Case } from "./world.ts";

/** Interrupts and exceptions through task gates (Intel SDM vol. 3, 6.12.2). */
export const taskEventCases: readonly Case[] = [
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
