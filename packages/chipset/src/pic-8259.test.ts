import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { Pic } from "./pic-8259.ts";

function setup({ icw4 = 1, unmask = true } = {}) {
  const pin = { intr: false };
  const pic = new Pic({ onInterruptRequest: (asserted) => void (pin.intr = asserted) });
  const command = (value: number) => pic.masterPorts.write(0, 1, value);
  const slaveCommand = (value: number) => pic.slavePorts.write(0, 1, value);
  // As Linux does it: vectors 0x30 and 0x38, slave on input 2.
  command(0x11);
  for (const word of [0x30, 4, icw4]) pic.masterPorts.write(1, 1, word);
  slaveCommand(0x11);
  for (const word of [0x38, 2, icw4 & ~2]) pic.slavePorts.write(1, 1, word);
  const mask = unmask ? 0 : 0xff;
  pic.masterPorts.write(1, 1, mask);
  pic.slavePorts.write(1, 1, mask);
  const pulse = (input: number) => {
    pic.setLine(input, true);
    pic.setLine(input, false);
  };
  const inService = () => {
    command(0x0b);
    slaveCommand(0x0b);
    return pic.masterPorts.read(0, 1) | (pic.slavePorts.read(0, 1) << 8);
  };
  return { pin, pic, command, slaveCommand, pulse, inService };
}

test("the mask register → holds what Linux' probe writes", () => {
  const { pic } = setup();
  pic.slavePorts.write(1, 1, 0xff);
  pic.masterPorts.write(1, 1, 0xfb);
  expect(pic.masterPorts.read(1, 1)).toBe(0xfb);
});

test("an edge → requested until acknowledged, in service until ended, however long the line stays", () => {
  const { pic, pin, command, inService } = setup();
  pic.setLine(4, true);
  expect(pin.intr).toBe(true);
  expect(pic.acknowledge()).toBe(0x34);
  expect(pin.intr).toBe(false);
  expect(inService()).toBe(0x10);
  command(0x20);
  expect(inService()).toBe(0);
  expect(pin.intr).toBe(false);
  pic.setLine(4, false);
  pic.setLine(4, true);
  expect(pin.intr).toBe(true);
});

test("a masked edge → waits for the mask to go", () => {
  const { pic, pin, pulse } = setup({ unmask: false });
  pulse(3);
  expect(pin.intr).toBe(false);
  pic.masterPorts.write(1, 1, 0xf7);
  expect(pin.intr).toBe(true);
  expect(pic.acknowledge()).toBe(0x33);
});

test("a level-triggered input → requests again after its end, and no more once the line is low", () => {
  const { pic, pin, command, slaveCommand } = setup();
  pic.edgeLevelPorts.write(1, 1, 0x0c);
  expect(pic.edgeLevelPorts.read(1, 1)).toBe(0x0c);
  pic.setLine(10, true);
  for (let i = 0; i < 2; i++) {
    expect(pic.acknowledge()).toBe(0x3a);
    expect(pin.intr).toBe(false);
    slaveCommand(0x20);
    command(0x20);
    expect(pin.intr).toBe(true);
  }
  pic.setLine(10, false);
  expect(pin.intr).toBe(false);
});

test("the edge/level registers → the ISA bridge's fixed edge inputs stay edge", () => {
  const { pic } = setup();
  pic.edgeLevelPorts.write(0, 2, 0xffff);
  expect(pic.edgeLevelPorts.read(0, 2)).toBe(0xdef8);
});

test("two requests → the higher priority first, which the lower cannot interrupt", () => {
  const { pic, pin, pulse, command } = setup();
  pulse(6);
  pulse(1);
  expect(pic.acknowledge()).toBe(0x31);
  expect(pin.intr).toBe(false);
  pulse(0);
  expect(pic.acknowledge()).toBe(0x30);
  command(0x60);
  command(0x61);
  expect(pic.acknowledge()).toBe(0x36);
});

test("a slave's request → both chips in service, input 2 first among the master's lower ones", () => {
  const { pic, pulse, inService } = setup();
  pulse(3);
  pulse(8);
  expect(pic.acknowledge()).toBe(0x38);
  expect(inService()).toBe(0x0104);
});

test("a request that went away before the acknowledge → spurious 7 or 15 with nothing in service for it", () => {
  const { pic, pin, inService, pulse } = setup();
  pulse(5);
  pic.masterPorts.write(1, 1, 0xff);
  expect(pin.intr).toBe(false);
  expect(pic.acknowledge()).toBe(0x37);
  expect(inService()).toBe(0);
  const slave = setup();
  slave.pic.edgeLevelPorts.write(1, 1, 0x02);
  slave.pulse(12);
  // The slave asked; its request is masked while the master is being acknowledged.
  slave.pic.slavePorts.write(1, 1, 0xff);
  expect(slave.pin.intr).toBe(false);
});

test("automatic end of interrupt → nothing stays in service", () => {
  const { pic, pulse, inService, pin } = setup({ icw4: 3 });
  pulse(4);
  pulse(5);
  expect(pic.acknowledge()).toBe(0x34);
  expect(inService()).toBe(0);
  expect(pin.intr).toBe(true);
});

test("special mask mode → a masked input in service lets lower ones through", () => {
  const { pic, pin, pulse, command } = setup();
  pulse(3);
  pic.acknowledge();
  pulse(6);
  expect(pin.intr).toBe(false);
  pic.masterPorts.write(1, 1, 0x08);
  expect(pin.intr).toBe(false);
  command(0x68);
  expect(pin.intr).toBe(true);
  command(0x48);
  expect(pin.intr).toBe(false);
});

test("special fully nested mode → a higher input of the same slave interrupts", () => {
  const nested = setup({ icw4: 0x11 });
  const plain = setup();
  for (const { pic, pulse } of [nested, plain]) {
    pulse(12);
    expect(pic.acknowledge()).toBe(0x3c);
    pulse(8);
  }
  expect(nested.pin.intr).toBe(true);
  expect(plain.pin.intr).toBe(false);
});

test("rotation → the input just served becomes the lowest", () => {
  const { pic, pulse, command } = setup();
  pulse(1);
  pic.acknowledge();
  command(0xa0);
  pulse(1);
  pulse(5);
  expect(pic.acknowledge()).toBe(0x35);
  command(0x65);
  command(0xc7);
  pulse(0);
  expect(pic.acknowledge()).toBe(0x30);
});

test("poll → acts as an acknowledge and names the input", () => {
  const { pic, pin, pulse, command, inService } = setup();
  command(0x0c);
  expect(pic.masterPorts.read(0, 1)).toBe(0);
  pulse(6);
  command(0x0c);
  expect(pic.masterPorts.read(0, 1)).toBe(0x86);
  expect(pin.intr).toBe(false);
  expect(inService()).toBe(0x40);
});

test("ICW1 → requests, service and mask are cleared, edges must be seen anew", () => {
  const { pic, pin, command } = setup();
  pic.setLine(4, true);
  command(0x11);
  for (const word of [0x20, 4, 1]) pic.masterPorts.write(1, 1, word);
  expect(pic.masterPorts.read(1, 1)).toBe(0);
  expect(pin.intr).toBe(false);
  pic.setLine(4, false);
  pic.setLine(4, true);
  expect(pic.acknowledge()).toBe(0x24);
});

test("a line that does not exist → coded error", () => {
  const { pic } = setup();
  expect(() => pic.setLine(16, true)).toThrow(
    expect.toSatisfy((e) => isQueztlError(e, "QZ_CHIPSET_PIN")),
  );
});
