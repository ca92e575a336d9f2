import { isQueztlError } from "@queztl/errors";
import { createMmioBus, createPortBus } from "@queztl/memory";
import type { AccessSize, BusHandler } from "@queztl/memory";
import { expect, test } from "vitest";
import { InterruptLines } from "../interrupt-lines.ts";
import { createMsiSink } from "../interrupt-message.ts";
import { IoApic } from "../io-apic.ts";
import { pcPlatform } from "../pc-platform.ts";
import { Pic } from "../pic-8259.ts";
import { TestApics } from "../testing/wires.ts";
import type { PciFunctionDescription, PciInterrupts } from "./function.ts";
import { PciHost } from "./host.ts";
import type { PciSlot } from "./slot.ts";

const ECAM = pcPlatform.pci.ecam.address;
const MSIX_ID = 0x11;
const MSI_ID = 0x05;

const memory = (length = 4096): BusHandler => {
  const view = new DataView(new ArrayBuffer(length));
  return {
    read: (offset, size) =>
      size === 1
        ? view.getUint8(offset)
        : size === 2
          ? view.getUint16(offset, true)
          : view.getUint32(offset, true),
    write: (offset, size, value) => {
      if (size === 1) view.setUint8(offset, value);
      else if (size === 2) view.setUint16(offset, value, true);
      else view.setUint32(offset, value, true);
    },
  };
};

function setup() {
  const ports = createPortBus();
  const mmio = createMmioBus();
  const apics = new TestApics();
  const ioApic = new IoApic(apics);
  const pic = new Pic({ onInterruptRequest: () => {} });
  const lines = new InterruptLines(ioApic, pic);
  const resetPort = memory(1);
  const host = new PciHost({ ports, mmio, lines, msi: createMsiSink(apics), resetPort });
  const select = (device: number, fn: number, register: number) =>
    ports.write(0xcf8, 4, (0x8000_0000 | (device << 11) | (fn << 8) | (register & 0xfc)) >>> 0);
  const read = (device: number, register: number, size: AccessSize = 4, fn = 0) => {
    select(device, fn, register);
    return ports.read(0xcfc + (register & 3), size);
  };
  const write = (device: number, register: number, size: AccessSize, value: number) => {
    select(device, 0, register);
    ports.write(0xcfc + (register & 3), size, value);
  };
  const capability = (device: number, id: number) => {
    let at = read(device, 0x34, 1);
    while (at !== 0 && read(device, at, 1) !== id) at = read(device, at + 1, 1);
    return at;
  };
  const connected: { interrupts?: PciInterrupts } = {};
  const card = (changes: Partial<PciFunctionDescription> = {}): PciFunctionDescription => ({
    name: "test card",
    vendorId: 0x1af4,
    deviceId: 0x1041,
    revision: 1,
    classCode: 0x02_00_00,
    subsystemVendorId: 0x1af4,
    subsystemId: 0x1041,
    bars: [],
    capabilities: [],
    msixVectors: 0,
    connect: (interrupts) => void (connected.interrupts = interrupts),
    ...changes,
  });
  const interrupts = () => connected.interrupts as PciInterrupts;
  return {
    ports,
    mmio,
    apics,
    ioApic,
    pic,
    host,
    read,
    write,
    capability,
    card,
    interrupts,
    resetPort,
  };
}

test("Linux' probe of configuration type 1 → answers, with a host bridge at device 0", () => {
  const { ports, read } = setup();
  ports.write(0xcfb, 1, 1);
  const before = ports.read(0xcf8, 4);
  ports.write(0xcf8, 4, 0x8000_0000);
  expect(ports.read(0xcf8, 4)).toBe(0x8000_0000);
  ports.write(0xcf8, 4, before);
  expect(read(0, 0x0a, 2)).toBe(0x0600);
  expect(read(1, 0)).toBe(0xffff_ffff);
});

test("byte 0xCF9 → the reset register, not the address", () => {
  const { ports, resetPort } = setup();
  ports.write(0xcf8, 4, 0x8000_1234);
  ports.write(0xcf9, 1, 0x06);
  expect(resetPort.read(0, 1)).toBe(0x06);
  expect(ports.read(0xcf8, 4)).toBe(0x8000_1234);
});

test("a plugged function → the same header by ports and ECAM, in bytes, words and dwords", () => {
  const { host, card, read, mmio } = setup();
  const slot = host.plug(card());
  expect(slot.device).toBe(1);
  expect(read(1, 0)).toBe(0x1041_1af4);
  expect(read(1, 2, 2)).toBe(0x1041);
  expect(read(1, 0x0b, 1)).toBe(0x02);
  expect(read(1, 8)).toBe(0x0200_0001);
  expect(mmio.read(ECAM + 0x8000, 4)).toBe(0x1041_1af4);
  expect(mmio.read(ECAM + 0x802e, 2)).toBe(0x1041);
  expect(mmio.read(ECAM + 0x8100, 4)).toBe(0xffff_ffff);
  // Identity is read-only.
  mmio.write(ECAM + 0x8000, 4, 0);
  expect(read(1, 0)).toBe(0x1041_1af4);
});

test("writing ones to BARs → their sizes; the assigned addresses come back", () => {
  const { host, card, read, write } = setup();
  const bars = [
    { index: 0, bytes: 0x4000, handler: memory() },
    { index: 1, bytes: 32, kind: "io", handler: memory() },
    { index: 2, bytes: 2 ** 33, kind: "memory64", prefetchable: true, handler: memory() },
  ] as const;
  host.plug(card({ bars }));
  const sized = (index: number) => {
    const register = 0x10 + 4 * index;
    const was = read(1, register);
    write(1, register, 4, 0xffff_ffff);
    const value = read(1, register);
    write(1, register, 4, was);
    expect(read(1, register)).toBe(was);
    return value;
  };
  expect([0, 1, 2, 3, 4].map(sized)).toEqual([
    0xffff_c000, 0xffff_ffe1, 0x0000_000c, 0xffff_fffe, 0,
  ]);
  expect(read(1, 0x10)).toBe(0xc000_0000);
  expect(read(1, 0x14)).toBe(0xc001);
  expect(read(1, 0x1c)).toBe(0x40);
});

test("memory enable and a move → the BAR is mapped where its register says, and nowhere else", () => {
  const { host, card, write, mmio } = setup();
  host.plug(card({ bars: [{ index: 0, bytes: 0x1000, handler: memory() }] }));
  mmio.write(0xc000_0000, 4, 1);
  expect(mmio.read(0xc000_0000, 4)).toBe(0xffff_ffff);
  write(1, 4, 2, 2);
  mmio.write(0xc000_0000, 4, 0x1234);
  expect(mmio.read(0xc000_0000, 4)).toBe(0x1234);
  write(1, 0x10, 4, 0xd000_0000);
  expect(mmio.read(0xc000_0000, 4)).toBe(0xffff_ffff);
  expect(mmio.read(0xd000_0000, 4)).toBe(0x1234);
  write(1, 4, 2, 0);
  expect(mmio.read(0xd000_0000, 4)).toBe(0xffff_ffff);
});

test("a BAR put over something else → unmapped until it is moved away", () => {
  const { host, card, write, mmio } = setup();
  host.plug(card({ bars: [{ index: 0, bytes: 0x1000, handler: memory() }] }));
  write(1, 4, 2, 2);
  for (const address of [ECAM, 0xffff_f000, 0]) write(1, 0x10, 4, address);
  expect(mmio.read(ECAM, 2)).toBe(0x1b36);
  write(1, 0x10, 4, 0xc800_0000);
  mmio.write(0xc800_0000, 2, 0xbeef);
  expect(mmio.read(0xc800_0000, 2)).toBe(0xbeef);
});

test("several cards → BAR addresses that do not overlap, freed ones used again", () => {
  const { host, card } = setup();
  const bars = (bytes: number) => [{ index: 0, bytes, handler: memory() }];
  const a = host.plug(card({ bars: bars(0x1000) }));
  const b = host.plug(card({ bars: bars(0x10_0000) }));
  const c = host.plug(card({ bars: bars(0x1000) }));
  const start = (slot: PciSlot) => slot.ranges[0]?.start;
  expect([a, b, c].map(start)).toEqual([0xc000_0000, 0xc010_0000, 0xc000_1000]);
  host.unplug(a);
  expect(start(host.plug(card({ bars: bars(0x1000) })))).toBe(0xc000_0000);
});

test("functions beside function 0 → the multifunction bit", () => {
  const { host, card, read } = setup();
  host.plug(card(), { device: 5 });
  expect(read(5, 0x0e, 1)).toBe(0);
  host.plug(card(), { device: 5, function: 3 });
  expect(read(5, 0x0e, 1)).toBe(0x80);
  expect(read(5, 0x0c)).toBe(0x0080_0000);
  expect(read(5, 0, 2, 3)).toBe(0x1af4);
});

test("INTx → status bit, IOAPIC pin and PIC input by the swizzle, unless disabled", () => {
  const { host, card, read, write, ioApic, pic, interrupts } = setup();
  host.plug(card(), { device: 3 });
  expect(read(3, 0x3c, 2)).toBe(0x010b);
  interrupts().line.set(true);
  expect(ioApic.save().lines).toBe(1 << 19);
  expect(pic.save().slave.lines).toBe(1 << 3);
  expect(read(3, 6, 2) & 8).toBe(8);
  write(3, 4, 2, 0x400);
  expect(ioApic.save().lines).toBe(0);
  expect(read(3, 6, 2) & 8).toBe(8);
  write(3, 4, 2, 0);
  interrupts().line.set(false);
  expect(ioApic.save().lines).toBe(0);
});

test("two cards on one INTx wire → asserted while either is", () => {
  const { host, card, ioApic, interrupts } = setup();
  host.plug(card(), { device: 1 });
  const first = interrupts().line;
  host.plug(card(), { device: 5 });
  const second = interrupts().line;
  first.set(true);
  second.set(true);
  first.set(false);
  expect(ioApic.save().lines).toBe(1 << 17);
  second.set(false);
  expect(ioApic.save().lines).toBe(0);
});

function withMsix() {
  const pc = setup();
  const { host, card, write, read, capability, mmio } = pc;
  const slot = host.plug(
    card({ msixVectors: 3, bars: [{ index: 0, bytes: 0x1000, handler: memory() }] }),
  );
  const at = capability(1, MSIX_ID);
  write(1, 4, 2, 6);
  const table = read(1, 0x14);
  const entry = (vector: number, data: number, control: number) => {
    mmio.write(table + 16 * vector, 4, 0xfee0_0000);
    mmio.write(table + 16 * vector + 8, 4, data);
    mmio.write(table + 16 * vector + 12, 4, control);
  };
  const pending = () => mmio.read(table + read(1, at + 8) - 1, 4);
  const control = (value: number) => write(1, at + 2, 2, value);
  return { ...pc, slot, at, entry, pending, control };
}

test("MSI-X → table size and BAR in the capability, all vectors masked", () => {
  const { read, at, mmio } = withMsix();
  expect(read(1, at + 2, 2)).toBe(2);
  expect(read(1, at + 4)).toBe(1);
  expect(mmio.read(read(1, 0x14) + 12, 4)).toBe(1);
});

test("MSI-X vectors → their messages; masked ones wait as pending bits", () => {
  const { entry, control, interrupts, apics, pending } = withMsix();
  expect(interrupts().msixEnabled).toBe(false);
  interrupts().notify(0);
  control(0x8000);
  expect(interrupts().msixEnabled).toBe(true);
  entry(0, 0x41, 0);
  entry(1, 0x42, 1);
  interrupts().notify(0);
  interrupts().notify(1);
  interrupts().notify(1);
  interrupts().notify(99);
  expect(apics.takeVectors()).toEqual([0x41]);
  expect(pending()).toBe(2);
  entry(1, 0x43, 0);
  expect(apics.takeVectors()).toEqual([0x43]);
  expect(pending()).toBe(0);
});

test("the MSI-X function mask → holds all vectors back until it goes", () => {
  const { entry, control, interrupts, apics } = withMsix();
  entry(0, 0x41, 0);
  entry(2, 0x42, 0);
  control(0xc000);
  interrupts().notify(2);
  interrupts().notify(0);
  expect(apics.takeVectors()).toEqual([]);
  control(0x8000);
  expect(apics.takeVectors()).toEqual([0x41, 0x42]);
});

test("MSI-X on → INTx is silent", () => {
  const { control, interrupts, ioApic } = withMsix();
  control(0x8000);
  interrupts().line.set(true);
  expect(ioApic.save().lines).toBe(0);
  control(0);
  expect(ioApic.save().lines).not.toBe(0);
});

test("MSI → granted vectors in the data's low bits, masking with pending bits", () => {
  const { host, card, write, read, capability, interrupts, apics } = setup();
  host.plug(card({ msiVectors: 4 }));
  const at = capability(1, MSI_ID);
  expect(read(1, at + 2, 2)).toBe(0x0184);
  write(1, at + 4, 4, 0xfee0_1000);
  write(1, at + 12, 2, 0x4060);
  write(1, at + 16, 4, 0b0010);
  write(1, at + 2, 2, 0x21); // enable, 4 vectors
  for (const vector of [0, 1, 3, 4]) interrupts().notify(vector);
  expect(apics.takeVectors()).toEqual([0x60, 0x63]);
  expect(read(1, at + 20)).toBe(2);
  write(1, at + 16, 4, 0);
  expect(apics.takeVectors()).toEqual([0x61]);
  write(1, at + 2, 2, 0x01); // one vector for all
  interrupts().notify(3);
  expect(apics.takeVectors()).toEqual([0x60]);
});

test("a capability with a handler → gets accesses to its body, in their size", () => {
  const { host, card, read, write, capability } = setup();
  const seen: unknown[] = [];
  const access: BusHandler = {
    read: (offset, size) => (size === 4 ? 0xaabb_ccdd : offset),
    write: (...args) => void seen.push(args),
  };
  host.plug(card({ capabilities: [{ id: 9, body: new Uint8Array(14), access }] }));
  const at = capability(1, 9);
  expect(read(1, at + 4)).toBe(0xaabb_ccdd);
  // Header bytes are the host's, the two after it the handler's.
  expect(read(1, at)).toBe(0x0100_0009);
  write(1, at + 8, 2, 0x1234);
  expect(seen).toEqual([[6, 2, 0x1234]]);
});

test("an unplugged function → gone from the bus, its interrupts lead nowhere", () => {
  const { slot, host, entry, control, interrupts, apics, mmio, read, ioApic } = withMsix();
  entry(0, 0x41, 0);
  control(0x8000);
  interrupts().line.set(true);
  const claims = mmio.claims.length;
  host.unplug(slot);
  host.unplug(slot);
  expect(mmio.claims.length).toBe(claims - 2);
  expect(read(1, 0)).toBe(0xffff_ffff);
  interrupts().notify(0);
  interrupts().line.set(false);
  interrupts().line.set(true);
  expect(apics.takeVectors()).toEqual([]);
  expect(ioApic.save().lines).toBe(0);
});

test("saved and restored on another board → BARs, MSI-X table and pending bits are there", () => {
  const a = withMsix();
  a.entry(0, 0x51, 0);
  a.entry(1, 0x52, 1);
  a.control(0x8000);
  a.interrupts().notify(1);
  const state = structuredClone(a.host.save());
  const b = withMsix();
  b.host.restore(state);
  b.interrupts().notify(0);
  expect(b.apics.takeVectors()).toEqual([0x51]);
  expect(b.pending()).toBe(2);
  b.entry(1, 0x52, 0);
  expect(b.apics.takeVectors()).toEqual([0x52]);
});

test("a state of other functions → coded error", () => {
  const a = withMsix();
  const b = setup();
  const bad = (state: unknown) => () => b.host.restore(state as never);
  const isStateError = expect.toSatisfy((e) => isQueztlError(e, "QZ_CHIPSET_STATE"));
  expect(bad(a.host.save())).toThrow(isStateError);
  b.host.plug(b.card({ deviceId: 0x1042, msixVectors: 3 }));
  expect(bad(a.host.save())).toThrow(isStateError);
});

test("reset → functions as plugged, and told", () => {
  let resets = 0;
  const { host, card, write, read } = setup();
  host.plug(
    card({ reset: () => void resets++, bars: [{ index: 0, bytes: 0x1000, handler: memory() }] }),
  );
  write(1, 4, 2, 7);
  write(1, 0x10, 4, 0xd000_0000);
  host.reset();
  expect([read(1, 4, 2), read(1, 0x10)]).toEqual([0, 0xc000_0000]);
  expect(resets).toBe(1);
});

test("impossible plugs → coded errors", () => {
  const { host, card } = setup();
  const code = (name: string) => expect.toSatisfy((e) => isQueztlError(e, name));
  const SLOT = code("QZ_CHIPSET_PCI_SLOT");
  const LAYOUT = code("QZ_CHIPSET_PCI_LAYOUT");
  const bar = (index: number, bytes: number) => ({ index, bytes, handler: memory() });
  expect(() => host.plug(card(), { device: 0 })).toThrow(SLOT);
  expect(() => host.plug(card(), { device: 32 })).toThrow(SLOT);
  expect(() => host.plug(card({ bars: [bar(0, 2 ** 30)] }))).toThrow(SLOT);
  for (const bars of [[bar(0, 48)], [bar(0, 8)], [bar(6, 64)], [bar(1, 64), bar(1, 64)]])
    expect(() => host.plug(card({ bars }))).toThrow(LAYOUT);
  expect(() => host.plug(card({ msixVectors: 4096 }))).toThrow(LAYOUT);
  expect(() => host.plug(card({ msiVectors: 3 }))).toThrow(LAYOUT);
  const body = new Uint8Array(190);
  expect(() => host.plug(card({ capabilities: [{ id: 9, body }], msixVectors: 1 }))).toThrow(
    LAYOUT,
  );
  const { device } = host.plug(card());
  expect(device).toBe(1);
  for (let i = 2; i < 32; i++) host.plug(card());
  expect(() => host.plug(card())).toThrow(SLOT);
});

test("no interrupt pin → none in the header", () => {
  const { host, card, read } = setup();
  host.plug(card({ interruptPin: 0 }));
  expect(read(1, 0x3c, 2)).toBe(0);
});
