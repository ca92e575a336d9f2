import { VirtualClock } from "@queztl/memory";
import { expect, test } from "vitest";
import { TestLine } from "./testing/wires.ts";
import { Uart16550 } from "./uart-16550.ts";

const THR = 0;
const IER = 1;
const IIR = 2;
const FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

function setup() {
  const clock = new VirtualClock();
  const line = new TestLine();
  const sent: number[] = [];
  const wire = { full: false, room: 0 };
  const uart = new Uart16550({
    clock,
    interrupt: line,
    output: (bytes) => {
      sent.push(...bytes);
      return !wire.full;
    },
    onInputRoom: () => void wire.room++,
  });
  const out = (offset: number, value: number) => uart.ports.write(offset, 1, value);
  const inb = (offset: number) => uart.ports.read(offset, 1);
  return { clock, line, sent, wire, uart, out, inb };
}

const text = (s: string) => new TextEncoder().encode(s);

test("the steps of Linux' 8250 autoconfiguration → a 16550A, nothing newer", () => {
  const { out, inb } = setup();
  // A register that holds what is written to it, in four bits only.
  out(IER, 0);
  expect(inb(IER)).toBe(0);
  out(IER, 0xff);
  expect(inb(IER)).toBe(0x0f);
  out(IER, 0);
  // Loopback: RTS and OUT2 come back as CTS and DCD.
  out(MCR, 0x10 | 0x0a);
  expect(inb(MSR) & 0xf0).toBe(0x90);
  out(MCR, 0);
  out(FCR, 1);
  expect(inb(IIR) >> 6).toBe(3);
  // Not a 16C750: no 64-byte mode, with and without the divisor latch.
  out(FCR, 0);
  out(LCR, 0x80);
  out(FCR, 0x21);
  expect(inb(IIR) >> 5).toBe(6);
  out(LCR, 0);
  out(SCR, 0x5a);
  expect(inb(SCR)).toBe(0x5a);
});

test("Linux' THRE test: enabling the transmit interrupt twice → it is raised twice", () => {
  const { out, inb, line } = setup();
  out(MCR, 8);
  out(IER, 2);
  expect(line.asserted).toBe(true);
  expect(inb(IIR) & 0x0f).toBe(2);
  expect(line.asserted).toBe(false);
  expect(inb(IIR) & 0x0f).toBe(1);
  out(IER, 0);
  out(IER, 2);
  expect(inb(IIR) & 0x0f).toBe(2);
});

test("without OUT2 → the interrupt does not reach the line", () => {
  const { out, line } = setup();
  out(IER, 2);
  expect(line.asserted).toBe(false);
  out(MCR, 8);
  expect(line.asserted).toBe(true);
});

test("bytes written → sent in order, the transmitter is empty again and says so", () => {
  const { out, inb, sent } = setup();
  for (const byte of text("hi")) {
    expect(inb(LSR)).toBe(0x60);
    out(THR, byte);
  }
  expect(sent).toEqual([...text("hi")]);
  out(IER, 2);
  inb(IIR);
  out(THR, 0x21);
  expect(inb(IIR) & 0x0f).toBe(2);
});

test("the divisor latch → covers the first two registers only while LCR says so", () => {
  const { out, inb, sent } = setup();
  out(LCR, 0x83);
  out(0, 0x34);
  out(1, 0x12);
  expect([inb(0), inb(1)]).toEqual([0x34, 0x12]);
  out(LCR, 3);
  expect(sent).toEqual([]);
  expect(inb(1)).toBe(0);
});

test("an output that asks to wait → 16 bytes in the FIFO, an interrupt when they are gone", () => {
  const { out, inb, uart, sent, wire, line } = setup();
  out(FCR, 1);
  out(MCR, 8);
  wire.full = true;
  out(THR, 1);
  expect(inb(LSR)).toBe(0x20);
  for (let i = 2; i <= 20; i++) out(THR, i);
  expect(inb(LSR)).toBe(0);
  expect(sent).toEqual([1]);
  out(IER, 2);
  expect(line.asserted).toBe(false);
  wire.full = false;
  uart.resumeOutput();
  expect(sent).toEqual(Array.from({ length: 17 }, (_, i) => i + 1));
  expect(inb(LSR)).toBe(0x60);
  expect(line.asserted).toBe(true);
});

test("input beyond the FIFO → taken in part, and asked for once the guest has read", () => {
  const { out, inb, uart, wire } = setup();
  out(FCR, 1);
  expect(uart.input(new Uint8Array(20).fill(7))).toBe(16);
  expect(uart.input(text("x"))).toBe(0);
  for (let i = 0; i < 16; i++) {
    expect(wire.room).toBe(0);
    expect(inb(LSR) & 1).toBe(1);
    expect(inb(THR)).toBe(7);
  }
  expect(wire.room).toBe(1);
  expect(inb(LSR) & 1).toBe(0);
  expect(uart.input(text("x"))).toBe(1);
});

test("receiver interrupts → at the trigger level, or by time-out below it", () => {
  const { out, inb, uart, line, clock } = setup();
  out(FCR, 0x81);
  out(IER, 1);
  out(MCR, 8);
  out(LCR, 3);
  uart.input(text("1234567"));
  expect(line.asserted).toBe(false);
  uart.input(text("8"));
  expect(inb(IIR) & 0x0f).toBe(4);
  inb(THR);
  expect(line.asserted).toBe(false);
  // 4 characters of 10 bits at 9600 baud.
  clock.advanceTo(4.1e6);
  expect(line.asserted).toBe(false);
  clock.advanceTo(4.2e6);
  expect(inb(IIR) & 0x0f).toBe(12);
  inb(THR);
  expect(line.asserted).toBe(false);
});

test("a break → line status interrupt, and a zero byte to read", () => {
  const { out, inb, uart, line } = setup();
  out(IER, 5);
  out(MCR, 8);
  uart.inputBreak();
  expect(inb(IIR) & 0x0f).toBe(6);
  expect(inb(LSR) & 0x11).toBe(0x11);
  expect(inb(IIR) & 0x0f).toBe(4);
  expect(inb(0)).toBe(0);
  expect(line.asserted).toBe(false);
});

test("loopback → bytes come back, the line hears and says nothing, too many overrun", () => {
  const { out, inb, uart, sent } = setup();
  out(MCR, 0x10);
  expect(inb(MSR) & 0xf0).toBe(0);
  out(THR, 0x55);
  expect(uart.input(text("x"))).toBe(0);
  out(THR, 0x66);
  expect(inb(LSR)).toBe(0x63);
  expect(inb(0)).toBe(0x66);
  out(FCR, 1);
  for (let i = 1; i <= 17; i++) out(THR, i);
  expect(inb(LSR)).toBe(0x63);
  expect(inb(0)).toBe(1);
  expect(sent).toEqual([]);
});

test("modem lines that change in loopback → deltas and a modem status interrupt, once", () => {
  const { out, inb, line } = setup();
  inb(MSR);
  out(IER, 8);
  // Leaving the terminal's CTS, DSR and DCD for a loop with OUT2 (DCD) only.
  out(MCR, 0x18);
  expect(line.asserted).toBe(true);
  expect(inb(IIR) & 0x0f).toBe(0);
  expect(inb(MSR)).toBe(0x83);
  expect(inb(MSR)).toBe(0x80);
  expect(line.asserted).toBe(false);
});

test("FIFO resets → only what was asked for is cleared", () => {
  const { out, inb, uart } = setup();
  out(FCR, 1);
  uart.input(text("ab"));
  out(FCR, 5);
  expect(inb(LSR) & 1).toBe(1);
  out(FCR, 3);
  expect(inb(LSR) & 1).toBe(0);
});
