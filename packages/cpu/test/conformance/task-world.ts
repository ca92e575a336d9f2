import { At, Selector, descriptor, gate, le } from "./world.ts";
import type { Ending, World, WorldOptions } from "./world.ts";

/** Tasks that can be switched to (Intel SDM vol. 3, chapter 8). */
export const flat: WorldOptions = { mode: "protected" };
export const paged: WorldOptions = { mode: "protected", paging: "32-bit" };
export const user: WorldOptions = { mode: "protected", cpl: 3, paging: "32-bit" };

/** Selectors of the slots that these cases fill. */
export const Task = 0x50;
export const Gate = 0x58;
export const Code = 0x60;
export const Data = 0x68;
export const Ldt = 0x70;
export const Handler = 0x78;

/** Where the new task's TSS, its first instruction and its stack lie. */
export const TSS = At.data;
export const START = At.code + 0x800;
export const STACK = 0x6800;
/** TSS, stack and code of a task that handles exceptions. */
export const HANDLER_TSS = At.data + 0x100;
export const HANDLER_START = At.code + 0xc00;
export const HANDLER_STACK = 0x6000;
export const LEGACY_LDT = At.ldt;

export const AVAILABLE = 0x89;
export const BUSY = 0x8b;
export const NARROW = 0x81;

export const EDI = 0x77777777n;

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
export function task(w: World, state: TaskState = {}): void {
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
export function narrowTask(w: World, limit = 0x2b, ds = 0): void {
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
export function handlerTask(w: World, vector: number): void {
  task(w, {
    at: HANDLER_TSS,
    slot: Handler,
    eip: HANDLER_START,
    esp: HANDLER_STACK,
  });
  w.code("f4", HANDLER_START);
  w.gate(vector, { type: 5, selector: Handler, offset: 0 });
}

export const jump = (selector: number): string => `ea00000000${le(selector, 2)}`;
export const call = (selector: number): string => `9a00000000${le(selector, 2)}`;
export const taskGate = (w: World, selector: number, access: number): void =>
  w.descriptor(Gate, gate(selector, 0, access));

export const busy = (w: World, selector: number): boolean =>
  ((w.readU64(At.gdt + selector) >> 41n) & 1n) === 1n;
export const nested = ({ state }: Ending): boolean => (state.rflags & 0x4000) !== 0;
export const inTask = ({ state }: Ending): boolean => state.segments.tr.selector === Task;

/** The old task's saved word at an offset of its TSS. */
export const saved = (w: World, offset: number): number => w.readU32(At.tss + offset);
