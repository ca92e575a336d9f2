import { GuestMemory, VirtualClock } from "@queztl/memory";
import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { createFlatProcessor } from "../flat-processor.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "../vcpu.ts";
import { State } from "./layout.ts";
import { restoreVcpu, saveVcpu } from "./save.ts";
import type { VcpuState } from "./vcpu-state.ts";

/** Fills every register with a number of its own, through instructions where they are state of the x87 or SSE. */
const PROGRAM = Uint8Array.from(
  [
    [0xdb, 0xe3], // fninit
    [0xd9, 0xeb], // fldpi
    [0xd9, 0xe8], // fld1
    [0x66, 0x48, 0x0f, 0x6e, 0xc9], // movq xmm1, rcx
    [0x66, 0x4c, 0x0f, 0x6e, 0xfa], // movq xmm15, rdx
    [0xb9, 0x02, 0x01, 0x00, 0xc0], // mov ecx, KERNEL_GS_BASE
    [0x0f, 0x30], // wrmsr
    [0x48, 0xff, 0xc0], // inc rax
    [0x00, 0xc0], // add al, al: flags
    [0xf9], // stc
    [0xeb, 0xfe], // jmp $
  ].flat(),
);

function running(clock = new VirtualClock()) {
  const made = createFlatProcessor({ clock });
  made.memory.writeBytes(0x1000, PROGRAM);
  made.vcpu.registers.set(Array.from({ length: 16 }, (_, i) => BigInt(i + 1) * 0x10001n));
  made.vcpu.registers[2] = 0x12n;
  made.vcpu.rip = 0x1000n;
  made.vcpu.run(40);
  return made;
}

function other(clock: VirtualClock) {
  const memory = new GuestMemory({
    ramBytes: 1 << 20,
    arenaBytes: CODE_ARENA_BYTES + VCPU_ARENA_BYTES,
  });
  return { memory, vcpu: new Vcpu(createBoard(memory), { clock }) };
}

test("a saved state put into a new processor → it saves the same, and runs on alike", () => {
  const a = running();
  a.vcpu.msr.tscOffset = 77n;
  a.vcpu.setU64(State.DebugRegisters, 0x1234n);
  a.vcpu.apic.write(0xf0, 0x1ff);
  a.vcpu.apic.write(0x320, 0x20040);
  a.vcpu.apic.write(0x380, 5000);
  const saved = saveVcpu(a.vcpu);
  const b = other(new VirtualClock());
  b.memory.writeBytes(0, a.memory.readBytes(0, 1 << 20));
  restoreVcpu(b.vcpu, structuredClone(saved));
  expect(saveVcpu(b.vcpu)).toEqual(saved);
  a.vcpu.run(100);
  b.vcpu.run(100);
  expect(saveVcpu(b.vcpu)).toEqual(saveVcpu(a.vcpu));
  expect(saved.msrs["c0000102"]).toBe(0x1200010001n);
  expect(saved.instructions).toBe(40);
});

test("a clock that is elsewhere → the time-stamp counter goes on from its value", () => {
  const clock = new VirtualClock();
  const a = running(clock);
  clock.advanceTo(5e9);
  const saved = saveVcpu(a.vcpu);
  const later = new VirtualClock(0, 9e9);
  const b = other(later);
  restoreVcpu(b.vcpu, saved);
  expect(b.vcpu.tsc).toBe(saved.tsc);
  later.advanceTo(10e9);
  expect(b.vcpu.tsc - saved.tsc).toBe(1_000_000_000n);
});

test("an armed timer → its interrupt comes at the same guest time", () => {
  const clock = new VirtualClock();
  const a = running(clock);
  a.vcpu.apic.write(0xf0, 0x1ff);
  a.vcpu.apic.write(0x320, 0x40);
  a.vcpu.apic.write(0x3e0, 11);
  a.vcpu.apic.write(0x380, 1000);
  clock.advanceTo(4000);
  const again = new VirtualClock(0, 4000);
  const b = other(again);
  restoreVcpu(b.vcpu, saveVcpu(a.vcpu));
  again.advanceTo(9999);
  expect(b.vcpu.apic.pending()).toBe(-1);
  again.advanceTo(10_000);
  expect(b.vcpu.apic.pending()).toBe(0x40);
});

test("a processor that halts, waits for a startup or met a triple fault → it still does", () => {
  for (const activity of ["halted", "startup", "shutdown"] as const) {
    const { vcpu } = running();
    vcpu.halted = activity === "halted";
    vcpu.waitingForStartup = activity === "startup";
    vcpu.shutdown = activity === "shutdown";
    const b = other(new VirtualClock());
    restoreVcpu(b.vcpu, saveVcpu(vcpu));
    const exit = { halted: "halt", startup: "wait", shutdown: "shutdown" }[activity];
    expect(b.vcpu.run(10)).toBe(exit);
  }
});

test("states that are none → QZ_CPU_STATE", () => {
  const good = saveVcpu(running().vcpu);
  const { vcpu } = other(new VirtualClock());
  const bad: unknown[] = [
    null,
    {},
    { ...good, version: 2 },
    { ...good, id: 1 },
    { ...good, registers: good.registers.slice(1) },
    { ...good, rip: -1n },
    { ...good, fxsave: new Uint8Array(511) },
    { ...good, msrs: { "10000": 0n } },
    { ...good, segments: { ...good.segments, cs: { ...good.segments.cs, limit: -1 } } },
    { ...good, apic: { ...good.apic, request: [1] } },
    { ...good, apic: { ...good.apic, version: 9 } },
  ];
  for (const state of bad) {
    expect(() => restoreVcpu(vcpu, state as VcpuState)).toThrow(
      expect.toSatisfy((error) => isQueztlError(error, "QZ_CPU_STATE")),
    );
  }
});
