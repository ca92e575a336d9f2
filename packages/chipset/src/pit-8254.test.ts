import { VirtualClock } from "@queztl/memory";
import type { Clock } from "@queztl/memory";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Oscillator } from "./oscillator.ts";
import { Pit8254 } from "./pit-8254.ts";
import { SystemControl } from "./system-control.ts";
import { TestLine } from "./testing/wires.ts";

const crystal = new Oscillator(1_193_182);

function setup() {
  const clock = new VirtualClock();
  const line = new TestLine();
  const pit = new Pit8254({ clock, interrupt: line });
  const system = new SystemControl({ clock, pit, onReset: () => {} });
  const start = (counter: number, mode: number, count: number, bcd = 0) => {
    pit.ports.write(3, 1, (counter << 6) | 0x30 | (mode << 1) | bcd);
    pit.ports.write(counter, 1, count & 0xff);
    pit.ports.write(counter, 1, count >> 8);
  };
  const origin = { cycles: 0 };
  /** Goes to this many cycles after the clock's start. */
  const at = (cycles: number) => clock.advanceTo(crystal.nanoseconds(origin.cycles + cycles));
  const read = (counter: number) => {
    pit.ports.write(3, 1, counter << 6);
    return pit.ports.read(counter, 1) | (pit.ports.read(counter, 1) << 8);
  };
  const status = (counter: number) => {
    pit.ports.write(3, 1, 0xe0 | (2 << counter));
    return pit.ports.read(counter, 1);
  };
  return { clock, line, pit, system, start, at, read, status };
}

test("cycles and nanoseconds → each other's inverse while nanoseconds are exact", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e13 }), (cycles) => {
      const ns = crystal.nanoseconds(cycles);
      expect(crystal.cycles(ns)).toBe(cycles);
      if (ns > 0) expect(crystal.cycles(ns - 1)).toBe(cycles - 1);
    }),
  );
});

test("mode 2 → an interrupt each period, no drift", () => {
  const { line, start, at, clock } = setup();
  start(0, 2, 1193);
  const first = line.edges;
  at(1192);
  expect(line.asserted).toBe(false);
  at(1193);
  expect(line.edges - first).toBe(1);
  at(1193 * 1000);
  expect(line.edges - first).toBe(1000);
  expect(clock.nowNs()).toBe(crystal.nanoseconds(1193 * 1000));
});

test("mode 2, with timers of the host that come late → an interrupt each period", () => {
  let now = 0;
  let due: { readonly at: number; readonly run: () => void } | undefined;
  const clock: Clock = {
    nowNs: () => now,
    epochMs: () => 0,
    schedule(at, run) {
      const timer = { at, run };
      due = timer;
      return { cancel: () => void (due = due === timer ? undefined : due) };
    },
  };
  const line = new TestLine();
  const pit = new Pit8254({ clock, interrupt: line });
  for (const [port, value] of [
    [3, 0x34],
    [0, 1193 & 0xff],
    [0, 1193 >> 8],
  ] as const)
    pit.ports.write(port, 1, value);
  const first = line.edges;
  for (let period = 1; period <= 10; period++) {
    // The pulse takes 838 ns.
    now = crystal.nanoseconds(1193 * period) + 50_000;
    for (let timer = due; timer && timer.at <= now; timer = due) timer.run();
  }
  expect(line.edges - first).toBe(10);
});

test("mode 3 → a square wave, one cycle longer high when odd", () => {
  const { line, start, at } = setup();
  start(0, 3, 9);
  at(4);
  expect(line.asserted).toBe(true);
  at(5);
  expect(line.asserted).toBe(false);
  at(8);
  expect(line.asserted).toBe(false);
  at(9);
  expect(line.asserted).toBe(true);
});

test("mode 0 → low until the count is over, then high until written again", () => {
  const { line, start, at, read } = setup();
  start(0, 0, 100);
  const edges = line.edges;
  expect(line.asserted).toBe(false);
  at(99);
  expect(line.asserted).toBe(false);
  expect(read(0)).toBe(1);
  at(100);
  expect(line.asserted).toBe(true);
  at(101);
  expect(read(0)).toBe(0xffff);
  expect(line.edges - edges).toBe(1);
});

test("mode 4 → low for one cycle at the end of the count", () => {
  const { line, start, at } = setup();
  start(0, 4, 50);
  at(49);
  expect(line.asserted).toBe(true);
  at(50);
  expect(line.asserted).toBe(false);
  at(51);
  expect(line.asserted).toBe(true);
});

test("modes 1 and 5 → start at the gate's edge, again at the next", () => {
  for (const mode of [1, 5]) {
    const { pit, start, at } = setup();
    start(2, mode, 10);
    at(100);
    expect(pit.output2).toBe(true);
    pit.gate2 = true;
    expect(pit.output2).toBe(mode === 5);
    at(105);
    pit.gate2 = false;
    pit.gate2 = true;
    at(114);
    expect(pit.output2).toBe(mode === 5);
    at(115);
    expect(pit.output2).toBe(mode === 1);
    at(116);
    expect(pit.output2).toBe(true);
  }
});

test("Linux' calibration through port 0x61 → OUT2 rises after exactly the latched count", () => {
  const { system, start, at } = setup();
  const portB = () => system.portB.read(0, 1);
  system.portB.write(0, 1, (portB() & ~2) | 1);
  start(2, 0, 59659);
  at(59658);
  expect(portB() & 0x20).toBe(0);
  at(59659);
  expect(portB() & 0x21).toBe(0x21);
});

test("a low gate in mode 0 → the count waits", () => {
  const { pit, start, at, read } = setup();
  pit.gate2 = true;
  start(2, 0, 100);
  at(40);
  pit.gate2 = false;
  at(1000);
  expect(read(2)).toBe(60);
  expect(pit.output2).toBe(false);
  pit.gate2 = true;
  at(1059);
  expect(pit.output2).toBe(false);
  at(1061);
  expect(pit.output2).toBe(true);
});

test("a low gate in mode 2 → the output is high at once, and the period starts anew", () => {
  const { pit, start, at, read } = setup();
  pit.gate2 = true;
  start(2, 2, 100);
  at(99);
  expect(pit.output2).toBe(false);
  pit.gate2 = false;
  expect(pit.output2).toBe(true);
  at(500);
  pit.gate2 = true;
  at(510);
  expect(read(2)).toBe(90);
});

test("a new count in mode 2 → takes over at the end of the period", () => {
  const { pit, line, start, at, read, status } = setup();
  start(0, 2, 100);
  at(30);
  pit.ports.write(0, 1, 40);
  pit.ports.write(0, 1, 0);
  expect(read(0)).toBe(70);
  expect(status(0) & 0x40).toBe(0x40);
  const edges = line.edges;
  at(100);
  expect(line.edges).toBe(edges + 1);
  expect(status(0) & 0x40).toBe(0);
  at(140);
  expect(line.edges).toBe(edges + 2);
});

test("the latch → holds while time goes on, until both bytes are read", () => {
  const { pit, start, at } = setup();
  start(0, 2, 0x1234);
  at(0x34);
  pit.ports.write(3, 1, 0);
  at(0x200);
  pit.ports.write(3, 1, 0);
  expect([pit.ports.read(0, 1), pit.ports.read(0, 1)]).toEqual([0x00, 0x12]);
  expect([pit.ports.read(0, 1), pit.ports.read(0, 1)]).toEqual([0x34, 0x10]);
});

test("read-back → status first, then the count, of all counters chosen", () => {
  const { pit, start, at } = setup();
  start(0, 3, 1000);
  pit.ports.write(3, 1, 0x94); // counter 2: low byte only, mode 2
  at(10);
  pit.ports.write(3, 1, 0xc0 | 2 | 8);
  expect(pit.ports.read(0, 1)).toBe(0x80 | 0x30 | 6);
  expect(pit.ports.read(0, 1) | (pit.ports.read(0, 1) << 8)).toBe(980);
  expect(pit.ports.read(2, 1)).toBe(0x80 | 0x40 | 0x10 | 4);
});

test("BCD → counts and reads in decimal, 0 is 10000", () => {
  const { start, at, read } = setup();
  start(0, 2, 0x2000, 1);
  at(1);
  expect(read(0)).toBe(0x1999);
  const whole = setup();
  whole.start(0, 0, 0, 1);
  whole.at(1);
  expect(whole.read(0)).toBe(0x9999);
});

test("a count of 0 → 65536", () => {
  const { line, start, at } = setup();
  start(0, 2, 0);
  const edges = line.edges;
  at(65535);
  expect(line.edges).toBe(edges);
  at(65536);
  expect(line.edges).toBe(edges + 1);
});
