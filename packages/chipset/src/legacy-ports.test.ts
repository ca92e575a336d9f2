import { VirtualClock } from "@queztl/memory";
import { expect, test } from "vitest";
import { debugConsole, debugExit, panicDevice } from "./debug-ports.ts";
import { KeyboardController } from "./i8042.ts";
import { createMsiSink, decodeMsi } from "./interrupt-message.ts";
import { Pit8254 } from "./pit-8254.ts";
import { ResetControl } from "./reset-control.ts";
import { SystemControl } from "./system-control.ts";
import { TestApics, TestLine } from "./testing/wires.ts";

function keyboard() {
  const resets = { count: 0 };
  const controller = new KeyboardController(() => void resets.count++);
  const command = (value: number) => controller.commandPort.write(0, 1, value);
  const data = (value: number) => controller.dataPort.write(0, 1, value);
  const status = () => controller.commandPort.read(0, 1);
  const answer = () => controller.dataPort.read(0, 1);
  return { resets, command, data, status, answer };
}

test("keyboard controller: self test and interface tests → pass at once", () => {
  const { command, status, answer } = keyboard();
  expect(status() & 3).toBe(0);
  command(0xaa);
  expect(status() & 7).toBe(5);
  expect(answer()).toBe(0x55);
  expect(status() & 1).toBe(0);
  command(0xab);
  expect(answer()).toBe(0);
});

test("keyboard controller: the mode byte → reads back, its disable bits follow the commands", () => {
  const { command, data, answer } = keyboard();
  command(0x60);
  data(0x44);
  command(0xad);
  command(0xa7);
  command(0x20);
  expect(answer()).toBe(0x74);
});

test("keyboard controller: the aux loop → comes back marked as the mouse's", () => {
  const { command, data, status, answer } = keyboard();
  command(0xd3);
  data(0x5a);
  expect(status() & 0x21).toBe(0x21);
  expect(answer()).toBe(0x5a);
});

test("keyboard controller: a byte for a keyboard that is not there → times out at once", () => {
  const { data, status, answer } = keyboard();
  data(0xff);
  expect(status() & 0x41).toBe(0x41);
  expect(answer()).toBe(0xfe);
});

test("keyboard controller: 0xFE and a low reset line → reset; other pulses do not", () => {
  const { command, data, resets } = keyboard();
  command(0xff);
  command(0xfd);
  expect(resets.count).toBe(0);
  command(0xfe);
  expect(resets.count).toBe(1);
  command(0xd1);
  data(0xdf);
  expect(resets.count).toBe(1);
  command(0xd1);
  data(0xfe);
  expect(resets.count).toBe(2);
});

test("reset control: bit 2 going high → one reset", () => {
  let resets = 0;
  const { port } = new ResetControl(() => void resets++);
  port.write(0, 1, 0x02);
  expect(resets).toBe(0);
  expect(port.read(0, 1)).toBe(0x02);
  port.write(0, 1, 0x06);
  expect(resets).toBe(1);
});

test("port 0x92 → A20 stays on, bit 0 resets at its edge", () => {
  let resets = 0;
  const clock = new VirtualClock();
  const pit = new Pit8254({ clock, interrupt: new TestLine() });
  const system = new SystemControl({ clock, pit, onReset: () => void resets++ });
  system.portA.write(0, 1, 0);
  expect(system.portA.read(0, 1)).toBe(2);
  system.portA.write(0, 1, 1);
  expect(resets).toBe(1);
});

test("port 0x61 → its refresh bit toggles with time", () => {
  const clock = new VirtualClock();
  const pit = new Pit8254({ clock, interrupt: new TestLine() });
  const system = new SystemControl({ clock, pit, onReset: () => {} });
  const before = system.portB.read(0, 1) & 0x10;
  clock.advanceTo(15_085);
  expect(system.portB.read(0, 1) & 0x10).not.toBe(before);
});

test("debug exit → the value doubled and one added, in all its 32 bits", () => {
  const statuses: number[] = [];
  const port = debugExit((status) => void statuses.push(status));
  port.write(0, 1, 0x21);
  port.write(0, 4, 0xffff_ffff);
  expect(statuses).toEqual([0x43, 0x1_ffff_ffff]);
});

test("debug console → bytes out, 0xE9 to find it", () => {
  const bytes: number[] = [];
  const port = debugConsole((b) => void bytes.push(...b));
  expect(port.read(0, 1)).toBe(0xe9);
  port.write(0, 1, 0x41);
  port.write(0, 2, 0x4342);
  expect(bytes).toEqual([0x41, 0x42, 0x43]);
});

test("pvpanic → tells what it knows, reports what the guest says", () => {
  const events: string[] = [];
  const port = panicDevice((event) => void events.push(event));
  expect(port.read(0, 1)).toBe(3);
  port.write(0, 1, 1);
  port.write(0, 1, 2);
  expect(events).toEqual(["panicked", "crash-loaded"]);
});

test("an MSI write → its fields; other addresses are none of the local APICs'", () => {
  expect(decodeMsi(0xfee0_300c, 0x0000_4155)).toEqual({
    vector: 0x55,
    deliveryMode: 1,
    destination: 3,
    destinationMode: "logical",
    level: true,
    trigger: "edge",
  });
  expect(decodeMsi(0xfee0_0000, 0x8031)).toMatchObject({ trigger: "level", level: false });
  expect(decodeMsi(0xfed0_0000, 0)).toBeUndefined();
  expect(decodeMsi(0x1_fee0_0000, 0)).toBeUndefined();
  const apics = new TestApics();
  const sink = createMsiSink(apics);
  sink.deliver(0x1000, 0x40);
  sink.deliver(0xfee0_0000, 0x41);
  expect(apics.takeVectors()).toEqual([0x41]);
});
