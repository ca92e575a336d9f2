import { GuestMemory, VirtualClock, createPortBus } from "@queztl/memory";
import { expect, test } from "vitest";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../vcpu.ts";
import { applyBootState } from "./boot-state.ts";

const flat = { selector: 0x10, base: 0, limit: 0xffff_ffff, attributes: 0xc093 };

test("handed over by a boot loader → the PIC's interrupts come in, which after a reset alone do not", () => {
  const memory = new GuestMemory({
    ramBytes: 2 << 20,
    arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES,
  });
  const board = createBoard(memory, createPortBus());
  board.pic = { pending: () => true, acknowledge: () => 0x20 };
  const cpu = new Vcpu(board, { id: 0, clock: new VirtualClock(), features: { processors: 1 } });
  expect(cpu.apic.acceptsExternal).toBe(false);
  applyBootState(cpu, {
    registers: { rip: 0x1000 },
    rflags: 0x202,
    cr0: 0x11,
    cr3: 0,
    cr4: 0,
    efer: 0,
    cs: { ...flat, selector: 8, attributes: 0xc09b },
    data: flat,
    tr: { selector: 0, base: 0, limit: 0xffff, attributes: 0x8b },
    gdt: { base: 0, limit: 0 },
    idt: { base: 0, limit: 0 },
  });
  expect(cpu.apic.acceptsExternal).toBe(true);
  expect(cpu.interruptible).toBe(true);
});
