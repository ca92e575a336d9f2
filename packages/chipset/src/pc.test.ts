import { isQueztlError } from "@queztl/errors";
import { VirtualClock, createMmioBus, createPortBus } from "@queztl/memory";
import type { AccessSize } from "@queztl/memory";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createPc, pcPlatform } from "./index.ts";
import type { PcState } from "./index.ts";
import { TestApics } from "./testing/wires.ts";

/** A board with a card on its bus, and a log of everything it says. */
function board() {
  const ports = createPortBus();
  const mmio = createMmioBus();
  const clock = new VirtualClock(Date.parse("2026-03-04T05:06:07Z"));
  const log: unknown[] = [];
  const apics = new TestApics();
  const note =
    (what: string) =>
    (...about: unknown[]): void => {
      log.push([what, clock.nowNs(), ...about]);
    };
  const pc = createPc({
    ports,
    mmio,
    clock,
    ramBytes: 256 * 1024 * 1024,
    interrupts: {
      deliver: (message) => {
        note("message")(message);
        return apics.deliver(message);
      },
    },
    onInterruptRequest: note("INTR"),
    serial: [
      { output: (bytes) => note("ttyS0")(...bytes), onInputRoom: note("room") },
      { output: (bytes) => (note("ttyS1")(...bytes), bytes[0] !== 0x55) },
    ],
    onReset: note("reset"),
    onPowerOff: note("power off"),
    onExit: note("exit"),
    onDebugOutput: (bytes) => note("debug")(...bytes),
    onPanic: note("panic"),
  });
  const card = pc.pci.plug({
    name: "card",
    vendorId: 0x1af4,
    deviceId: 0x1041,
    revision: 1,
    classCode: 0x02_00_00,
    subsystemVendorId: 0,
    subsystemId: 0,
    bars: [{ index: 0, bytes: 4096, handler: { read: () => 0, write: () => {} } }],
    capabilities: [],
    msixVectors: 4,
    connect: (interrupts) => {
      cardInterrupts = interrupts;
    },
  });
  return { ports, mmio, clock, log, pc, card, apics, interrupts: () => cardInterrupts };
}
let cardInterrupts: { notify(vector: number): void; line: { set(on: boolean): void } };

const PORTS = [
  [0x20, 2], [0xa0, 2], [0x4d0, 2], [0x40, 4], [0x92, 1], [0x61, 1], [0x70, 2], [0x60, 1],
  [0x64, 1], [0x600, 12], [0xcf8, 8], [0x3f8, 8], [0x2f8, 8], [0xf4, 4], [0xe9, 1], [0x505, 1],
].flatMap(([base = 0, length = 0]) => Array.from({ length }, (_, i) => base + i)); // prettier-ignore

const size = fc.constantFrom<AccessSize>(1, 1, 1, 2, 4);
const value = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 0xffff_ffff }));
const port = fc.constantFrom(...PORTS);
const address = fc.oneof(
  fc.constantFrom(0, 0x10, 0x40).map((offset) => pcPlatform.ioApic.address + offset),
  fc.integer({ min: 0, max: 0x3fff }).map((n) => pcPlatform.pci.ecam.address + 4 * n),
  fc.integer({ min: 0, max: 0x7ff }).map((n) => pcPlatform.pci.window32.address + 4 * n),
);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant("out" as const), port, size, value) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("in" as const), port, size, fc.constant(0)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("store" as const), address, size, value) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("load" as const), address, size, fc.constant(0)) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant("wait" as const), fc.integer({ min: 0, max: 3_000_000 }), size, value),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant("serial" as const), fc.constant(0), size, value) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("acknowledge" as const), fc.constant(0), size, value) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("button" as const), fc.constant(0), size, value) },
); // prettier-ignore
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function perform(b: ReturnType<typeof board>, [what, at, width, data]: Step): unknown {
  switch (what) {
    case "out":
      return b.ports.write(at, width, data);
    case "in":
      return b.ports.read(at, width);
    case "store":
      return b.mmio.write(at, width, data);
    case "load":
      return b.mmio.read(at, width);
    case "wait":
      return b.clock.advanceTo(b.clock.nowNs() + at);
    case "serial":
      return b.pc.uarts[data & 1]?.input(new Uint8Array(data & 31).fill(data));
    case "acknowledge":
      return b.pc.pic.acknowledge();
    default:
      return data & 1 ? b.pc.pm.pressPowerButton() : b.pc.ioApic.endOfInterrupt(data & 0xff);
  }
}

test("any sequence of accesses → no exception, and values of the access's size", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const b = board();
      for (const s of steps) {
        const result = perform(b, s);
        if (s[0] === "in" || s[0] === "load") {
          expect(Number.isInteger(result)).toBe(true);
          expect(result).toBeLessThan(2 ** (8 * s[2]));
          expect(result).toBeGreaterThanOrEqual(0);
        }
      }
      b.pc.reset();
    }),
    { numRuns: 150 },
  );
});

test("saved at any point and restored on a new board → both go on alike", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(step, { maxLength: 60 }),
      (before, after) => {
        const a = board();
        for (const s of before) perform(a, s);
        const state = structuredClone(a.pc.save());
        const b = board();
        b.clock.advanceTo(a.clock.nowNs());
        b.pc.restore(state);
        expect(b.pc.save()).toEqual(state);
        a.log.length = 0;
        b.log.length = 0;
        for (const s of after) expect([s, perform(b, s)]).toEqual([s, perform(a, s)]);
        // Whether bytes wait outside a UART is known outside, so `room` is not in the state.
        const said = (log: unknown[]) => log.filter((entry) => (entry as string[])[0] !== "room");
        expect(said(b.log)).toEqual(said(a.log));
        expect(b.pc.save()).toEqual(a.pc.save());
      },
    ),
    { numRuns: 150 },
  );
});

test("a state with any part damaged → restored or refused with a coded error, then still usable", () => {
  const { pc } = board();
  const good = pc.save();
  const paths: string[][] = [];
  const walk = (part: unknown, path: string[]) => {
    paths.push(path);
    if (typeof part !== "object" || part === null || part instanceof Uint8Array) return;
    for (const [key, inner] of Object.entries(part)) walk(inner, [...path, key]);
  };
  walk(good, []);
  const junk = fc.constantFrom<unknown>(
    undefined, null, -1, 1.5, NaN, Infinity, 2 ** 53, 0xffff_ffff, "x", [], {}, new Uint8Array(3), 1n,
  ); // prettier-ignore
  fc.assert(
    fc.property(fc.constantFrom(...paths), junk, (path, bad) => {
      let state: unknown = structuredClone(good);
      const key = path.at(-1);
      if (key === undefined) state = bad;
      else {
        const parent = path.slice(0, -1).reduce((o, k) => (o as Record<string, unknown>)[k], state);
        (parent as Record<string, unknown>)[key] = bad;
      }
      const b = board();
      try {
        b.pc.restore(state as PcState);
      } catch (error) {
        if (!isQueztlError(error, "QZ_CHIPSET_STATE")) throw error;
      }
      b.clock.advanceTo(5e6);
      for (const p of PORTS) expect(b.ports.read(p, 1)).toBeLessThan(256);
    }),
    { numRuns: 200 },
  );
});

test("a level-triggered line → through the PIC and through the IOAPIC, until it is low", () => {
  const { pc, ports, mmio, apics, log } = board();
  for (const [at, values] of [[0x20, [0x11]], [0x21, [0x30, 4, 1, 0]], [0xa0, [0x11]], [0xa1, [0x38, 2, 1, 0]]] as const)
    for (const v of values) ports.write(at, 1, v); // prettier-ignore
  ports.write(0x4d1, 1, 0x02);
  mmio.write(pcPlatform.ioApic.address, 4, 0x10 + 2 * 9);
  mmio.write(pcPlatform.ioApic.address + 0x10, 4, 0x8059);
  log.length = 0;
  ports.write(0x602, 2, 0x100);
  pc.pm.pressPowerButton();
  expect(apics.takeVectors()).toEqual([0x59]);
  expect(pc.pic.requested).toBe(true);
  expect(pc.pic.acknowledge()).toBe(0x39);
  ports.write(0xa0, 1, 0x20);
  ports.write(0x20, 1, 0x20);
  expect(pc.pic.requested).toBe(true);
  pc.ioApic.endOfInterrupt(0x59);
  expect(apics.takeVectors()).toEqual([0x59]);
  ports.write(0x600, 2, 0x100);
  pc.ioApic.endOfInterrupt(0x59);
  expect(apics.takeVectors()).toEqual([]);
  expect(pc.pic.requested).toBe(false);
});

test("the four ways to reset and the power-off → told", () => {
  const { ports, log } = board();
  ports.write(0xcf9, 1, 0x06);
  ports.write(0x64, 1, 0xfe);
  ports.write(0x92, 1, 0x01);
  ports.write(0x604, 2, 0x3401);
  ports.write(0xf4, 4, 16);
  const events = log.map((entry) => (entry as string[])[0]);
  expect(events.slice(-5)).toEqual(["reset", "reset", "reset", "power off", "exit"]);
});

test("IRQ 0 → pin 2 of the IOAPIC, and the PIC's input 0", () => {
  const { pc } = board();
  pc.lines.isa(0).set(true);
  expect(pc.ioApic.save().lines & 7).toBe(4);
  expect(pc.pic.save().master.lines & 1).toBe(1);
});

test("a card's MSI-X → reaches the local APICs over the board", () => {
  const { mmio, card, interrupts, apics } = board();
  const ecam = pcPlatform.pci.ecam.address + card.device * 0x8000;
  mmio.write(ecam + 4, 2, 6);
  const table = mmio.read(ecam + 0x14, 4);
  mmio.write(table, 4, 0xfee0_0000);
  mmio.write(table + 8, 4, 0x77);
  mmio.write(table + 12, 4, 0);
  mmio.write(ecam + mmio.read(ecam + 0x34, 1) + 2, 2, 0x8000);
  interrupts().notify(0);
  expect(apics.takeVectors()).toEqual([0x77]);
});

test("two boards on one bus → the second is refused; released, the addresses are free", () => {
  const { pc, ports, mmio, clock } = board();
  const options = {
    ports,
    mmio,
    clock,
    ramBytes: 65536,
    interrupts: new TestApics(),
    onInterruptRequest: () => {},
    onReset: () => {},
    onPowerOff: () => {},
  };
  expect(() => createPc(options)).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_MEMORY_OVERLAP")),
  );
  pc.release();
  expect(ports.claims).toEqual([]);
  expect(mmio.claims).toEqual([]);
  createPc(options);
});
