import { VirtualClock } from "@queztl/memory";
import { expect, test } from "vitest";
import { AcpiPm } from "./acpi-pm.ts";
import { TestLine } from "./testing/wires.ts";

function setup(timerBits: 24 | 32 = 24) {
  const clock = new VirtualClock();
  const line = new TestLine();
  const events: string[] = [];
  const pm = new AcpiPm({
    clock,
    interrupt: line,
    timerBits,
    onPowerOff: () => void events.push("off"),
  });
  return { clock, line, events, pm };
}

test("the timer → 3.579545 MHz in 24 or 32 bits", () => {
  for (const bits of [24, 32] as const) {
    const { pm, clock } = setup(bits);
    clock.advanceTo(1e9);
    expect(pm.timerPorts.read(0, 4)).toBe(3_579_545);
    clock.advanceTo(3600e9);
    const cycles = 3600 * 3_579_545;
    expect(pm.timerPorts.read(0, 4)).toBe(cycles % 2 ** bits);
    expect(pm.timerPorts.read(1, 1)).toBe((cycles >> 8) & 0xff);
  }
});

test("the power button → an SCI when enabled, until its status is cleared", () => {
  const { pm, line } = setup();
  pm.pressPowerButton();
  expect(line.asserted).toBe(false);
  pm.eventPorts.write(2, 2, 0x0100);
  expect(line.asserted).toBe(true);
  expect(pm.eventPorts.read(0, 2)).toBe(0x0100);
  pm.eventPorts.write(0, 2, 0x0100);
  expect(line.asserted).toBe(false);
  expect(pm.eventPorts.read(0, 4)).toBe(0x0100_0000);
});

test("the timer's overflow → a status, and an SCI when enabled, twice a turn", () => {
  const { pm, line, clock } = setup();
  clock.advanceTo(2.4e9);
  expect(pm.eventPorts.read(0, 2)).toBe(1);
  pm.eventPorts.write(0, 2, 1);
  pm.eventPorts.write(2, 2, 1);
  clock.advanceTo(4.6e9);
  expect(line.asserted).toBe(false);
  clock.advanceTo(4.7e9);
  expect(line.asserted).toBe(true);
  pm.eventPorts.write(0, 2, 1);
  clock.advanceTo(7.1e9);
  expect(line.edges).toBe(2);
});

test("S5 written to the control register → power off; other sleeping states do nothing", () => {
  const { pm, events } = setup();
  expect(pm.controlPorts.read(0, 2)).toBe(1);
  pm.controlPorts.write(0, 2, (1 << 10) | (1 << 13));
  expect(events).toEqual([]);
  pm.controlPorts.write(0, 2, 5 << 10);
  expect(events).toEqual([]);
  pm.controlPorts.write(0, 2, (5 << 10) | (1 << 13));
  expect(events).toEqual(["off"]);
  // Sleep enable always reads 0.
  expect(pm.controlPorts.read(0, 2)).toBe((5 << 10) | 1);
});
