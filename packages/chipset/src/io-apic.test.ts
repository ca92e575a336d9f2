import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { IoApic } from "./io-apic.ts";
import { TestApics } from "./testing/wires.ts";

const LEVEL = 0x8000;
const MASKED = 0x1_0000;
const REMOTE_IRR = 0x4000;

function setup() {
  const apics = new TestApics();
  const ioApic = new IoApic(apics);
  const write = (index: number, value: number) => {
    ioApic.mmio.write(0, 4, index);
    ioApic.mmio.write(0x10, 4, value >>> 0);
  };
  const read = (index: number) => {
    ioApic.mmio.write(0, 4, index);
    return ioApic.mmio.read(0x10, 4) >>> 0;
  };
  return { apics, ioApic, write, read };
}

test("identity → version 0x20 with 24 entries, an id that can be set, all inputs masked", () => {
  const { read, write } = setup();
  expect(read(1)).toBe(0x0017_0020);
  write(0, 0x0f00_0000);
  expect(read(0)).toBe(0x0f00_0000);
  for (let pin = 0; pin < 24; pin++) expect(read(0x10 + 2 * pin)).toBe(MASKED);
  expect(read(0x40)).toBe(0xffff_ffff);
});

test("a redirection entry → its fields are in the message", () => {
  const { ioApic, apics, write } = setup();
  write(0x15, 0x0300_0000);
  write(0x14, 0x0931); // lowest priority, logical
  ioApic.setLine(2, true);
  expect(apics.messages).toEqual([
    {
      vector: 0x31,
      deliveryMode: 1,
      destination: 3,
      destinationMode: "logical",
      level: true,
      trigger: "edge",
    },
  ]);
});

test("edges → one message each; masked ones are lost", () => {
  const { ioApic, apics, write } = setup();
  write(0x18, 0x40);
  ioApic.setLine(4, true);
  ioApic.setLine(4, true);
  ioApic.setLine(4, false);
  ioApic.setLine(4, true);
  expect(apics.takeVectors()).toEqual([0x40, 0x40]);
  write(0x18, MASKED | 0x40);
  ioApic.setLine(4, false);
  ioApic.setLine(4, true);
  write(0x18, 0x40);
  expect(apics.takeVectors()).toEqual([]);
});

test("a level → one message until its end, again while the line is asserted", () => {
  const { ioApic, apics, write, read } = setup();
  write(0x10 + 2 * 9, LEVEL | 0x59);
  ioApic.setLine(9, true);
  expect(apics.takeVectors()).toEqual([0x59]);
  expect(read(0x10 + 2 * 9)).toBe(LEVEL | REMOTE_IRR | 0x59);
  ioApic.endOfInterrupt(0x58);
  expect(apics.takeVectors()).toEqual([]);
  ioApic.endOfInterrupt(0x59);
  expect(apics.takeVectors()).toEqual([0x59]);
  ioApic.setLine(9, false);
  ioApic.mmio.write(0x40, 4, 0x59);
  expect(apics.takeVectors()).toEqual([]);
  expect(read(0x10 + 2 * 9)).toBe(LEVEL | 0x59);
});

test("a level on a masked input → delivered when unmasked", () => {
  const { ioApic, apics, write } = setup();
  write(0x30, LEVEL | MASKED | 0x60);
  ioApic.setLine(16, true);
  expect(apics.takeVectors()).toEqual([]);
  write(0x30, LEVEL | 0x60);
  expect(apics.takeVectors()).toEqual([0x60]);
});

test("an entry made edge and level again, as kernels end interrupts without an EOI register → remote IRR is gone", () => {
  const { ioApic, apics, write, read } = setup();
  write(0x30, LEVEL | 0x60);
  ioApic.setLine(16, true);
  write(0x30, MASKED | 0x60);
  expect(read(0x30)).toBe(MASKED | 0x60);
  expect(apics.takeVectors()).toEqual([0x60]);
  write(0x30, LEVEL | 0x60);
  expect(apics.takeVectors()).toEqual([0x60]);
});

test("read-only bits → not written", () => {
  const { write, read } = setup();
  write(0x10, 0xffff_ffff);
  expect(read(0x10)).toBe(0x1_afff);
  write(0x11, 0xffff_ffff);
  expect(read(0x11)).toBe(0xff00_0000);
});

test("a message that no local APIC takes → remote IRR stays clear and the level is sent again", () => {
  const { ioApic, apics, write, read } = setup();
  apics.accepting = false;
  write(0x30, LEVEL | 0x60);
  ioApic.setLine(16, true);
  expect(read(0x30) & REMOTE_IRR).toBe(0);
  apics.accepting = true;
  write(0x30, LEVEL | 0x60);
  expect(apics.takeVectors()).toEqual([0x60]);
});

test("an input that does not exist → coded error", () => {
  const { ioApic } = setup();
  expect(() => ioApic.setLine(24, true)).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_CHIPSET_PIN")),
  );
});
