import { SeededEntropy, VirtualClock, createMmioBus, createPortBus } from "@queztl/memory";
import { expect, test } from "vitest";
import { createPc, pcPlatform } from "../src/index.ts";
import { firstDifference, hasQemu } from "./qtest.ts";
import type { Access } from "./qtest.ts";

/**
 * Random programs on the chips of this board and on QEMU's, which stand still in time. Left out is what the
 * data sheets leave open, and where QEMU differs from them; each place says which.
 */
class Program {
  readonly accesses: Access[] = [];
  readonly #random: SeededEntropy;
  readonly #ports = createPortBus();
  readonly #mmio = createMmioBus();
  readonly #pc = createPc({
    ports: this.#ports,
    mmio: this.#mmio,
    clock: new VirtualClock(Date.parse("2026-03-04T21:58:07Z")),
    ramBytes: 128 * 1024 * 1024,
    interrupts: { deliver: () => {} },
    onInterruptRequest: () => {},
    onReset: () => {},
    onPowerOff: () => {},
    serial: [{ output: () => {} }],
  });

  constructor(seed: number) {
    this.#random = new SeededEntropy(seed);
  }

  byte(): number {
    return this.#random.nextUint32() & 0xff;
  }

  pick<T>(...list: readonly T[]): T {
    return list[this.#random.nextUint32() % list.length] as T;
  }

  out(port: number, value: number): void {
    this.#ports.write(port, 1, value);
    this.accesses.push({ command: `outb ${port} ${value}` });
  }

  in(port: number, mask = 0xff): number {
    const answer = this.#ports.read(port, 1);
    this.accesses.push({ command: `inb ${port}`, answer, mask });
    return answer;
  }

  word(): number {
    return this.#random.nextUint32();
  }

  store(address: number, value: number): void {
    this.#mmio.write(address, 4, value);
    this.accesses.push({ command: `writel ${address} ${value}` });
  }

  load(address: number): void {
    const answer = this.#mmio.read(address, 4);
    this.accesses.push({ command: `readl ${address}`, answer, mask: 0xffff_ffff });
  }

  line(irq: number, asserted: boolean): void {
    this.#pc.pic.setLine(irq, asserted);
    const chip = `/machine/unattached/device[${irq < 8 ? 6 : 7}]`;
    const command = `set_irq_in ${chip} unnamed-gpio-in ${irq & 7} ${asserted ? 1 : 0}`;
    this.accesses.push({ command });
  }
}

function uart(p: Program): void {
  const registers = [0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7] as const;
  const write = {
    0: () => p.out(0x3f8, p.byte()),
    // No modem status interrupts: QEMU sees no deltas when loopback changes.
    1: () => p.out(0x3f9, p.byte() & 0xf7),
    2: () => {
      // With interrupts off: QEMU's transmitter reports an empty FIFO that was emptied while empty.
      p.out(0x3fb, 3);
      p.out(0x3f9, 0);
      p.out(0x3fa, p.byte() & 0xcf);
      p.out(0x3f9, p.byte() & 7);
    },
    3: () => p.out(0x3fb, p.pick(3, 3, 3, 0x83, 0x1b)),
    4: () => p.out(0x3fc, p.byte()),
    7: () => p.out(0x3ff, p.byte()),
  };
  for (let i = 0; i < 3000; i++) {
    if (p.byte() & 1) {
      write[p.pick(0, 0, 0, 1, 2, 3, 4, 7)]();
      continue;
    }
    const register = p.pick(...registers);
    // What an empty receiver reads as is open.
    if (register === 0 && !(p.in(0x3fd) & 1)) continue;
    p.in(0x3f8 + register, register === 6 ? 0xf0 : 0xff);
  }
}

function pic(p: Program): void {
  // The PIT's output, high at power-on.
  p.line(0, false);
  p.out(0x4d0, p.byte() & 0xf8);
  p.out(0x4d1, p.byte() & 0xde);
  const words = [0x20, 0x11, 0x21, 0x30, 0x21, 4, 0x21, p.pick(1, 3, 0x11)].concat(
    [0xa0, 0x11, 0xa1, 0x38, 0xa1, 2, 0xa1, 1],
    [0x21, 4, 0xa1, 0],
  );
  for (let i = 0; i < words.length; i += 2) p.out(words[i] as number, words[i + 1] as number);
  const chip = () => p.pick(0x20, 0xa0);
  const poll = (port: number) => {
    p.out(port, 0x0c);
    p.in(port);
  };
  const step = [
    () => p.line(p.pick(0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), (p.byte() & 1) === 1),
    () => p.line(p.pick(0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), (p.byte() & 1) === 1),
    () => poll(chip()),
    () => {
      const port = chip();
      p.out(port, p.pick(0x0a, 0x0b));
      // QEMU latches the cascade, which a slave that is polled by itself takes back.
      p.in(port, port === 0x20 ? 0xfb : 0xff);
    },
    () => {
      const level = p.byte() & 7;
      p.out(chip(), p.pick(0x20, 0x20, 0xa0, 0x60 | level, 0xe0 | level, 0xc0 | level, 0x80, 0));
    },
    () => p.out(0x21, p.pick(0, p.byte()) | 4),
    () => p.out(0xa1, p.pick(0, p.byte())),
    () => p.in(p.pick(0x21, 0xa1, 0x4d0, 0x4d1)),
    () => {
      // Off again at once: QEMU lets a non-specific EOI end what this mode hides from it.
      const port = chip();
      p.out(port, 0x68);
      poll(port);
      p.out(port, 0x48);
    },
  ];
  for (let i = 0; i < 4000; i++) p.pick(...step)();
}

function pit(p: Program): void {
  const modes = [0, 0, 0];
  const wide = [true, true, true];
  const program = (counter: number) => {
    // Read out what is latched: QEMU keeps it over a control word.
    for (let i = 0; i < 4; i++) p.in(0x40 + counter, i === 0 ? 0x3f : 0xff);
    const access = p.pick(0x10, 0x20, 0x30);
    const mode = p.pick(0, 1, 2, 3, 4, 5);
    modes[counter] = mode;
    wide[counter] = access === 0x30;
    p.out(0x43, (counter << 6) | access | (mode << 1));
    // Even in mode 3: QEMU counts odd ones from the count itself.
    p.out(0x40 + counter, p.byte() & (mode === 3 ? 0xfe : 0xff));
    if (access === 0x30) p.out(0x40 + counter, p.byte());
  };
  const step = [
    program,
    (counter: number) => {
      // QEMU takes a new count at once in every mode.
      if (modes[counter] !== 0 && modes[counter] !== 4) return;
      p.out(0x40 + counter, p.byte());
      if (wide[counter]) p.out(0x40 + counter, p.byte());
    },
    (counter: number) => p.out(0x43, counter << 6),
    (counter: number) => {
      p.out(0x43, 0xe0 | (2 << counter));
      // QEMU's output is inverted in modes 2, 4 and 5.
      p.in(0x40 + counter, 0x3f);
    },
    () => p.out(0x43, 0xd0 | (p.byte() & 0xe)),
    (counter: number) => {
      p.in(0x40 + counter);
      if (wide[counter]) p.in(0x40 + counter);
    },
  ];
  for (let counter = 0; counter < 3; counter++) {
    p.out(0x43, (counter << 6) | 0x30);
    p.out(0x40 + counter, 0);
    p.out(0x40 + counter, 0x10);
  }
  for (let i = 0; i < 3000; i++) p.pick(...step)(p.pick(0, 1, 2));
}

function rtc(p: Program): void {
  const registers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 0x32, 0x40] as const;
  for (let i = 0; i < 1500; i++) {
    p.out(0x70, p.pick(...registers));
    p.in(0x71);
    if (p.byte() > 40) continue;
    p.out(0x70, 11);
    p.out(0x71, p.pick(0, 2, 4, 6));
  }
}

function ioApic(p: Program): void {
  const { address } = pcPlatform.ioApic;
  const select = (register: number) => p.store(address, register);
  for (let i = 0; i < 2000; i++) {
    const register = p.pick(0, 1, 0x10 + (p.byte() % 48));
    select(register);
    p.load(address);
    // Masked, as the lines of the two boards differ; reserved bits, which QEMU keeps, are 0.
    const value = register & 1 ? p.word() & 0xff00_0000 : (p.word() & 0xafff) | 0x1_0000;
    if (p.byte() & 1) p.store(address + 0x10, value >>> 0);
    p.load(address + 0x10);
    if (p.byte() < 20) p.store(address + 0x40, p.byte());
  }
}

test.skipIf(!hasQemu).for([
  ["UART", uart],
  ["PIC", pic],
  ["PIT", pit],
  ["RTC", rtc],
  ["IOAPIC", ioApic],
] as const)("%s: random programs → what QEMU's answers", async ([, write]) => {
  for (const seed of [1, 2, 3]) {
    const program = new Program(seed);
    write(program);
    expect(program.accesses.length).toBeGreaterThan(2000);
    expect(await firstDifference(program.accesses)).toBeUndefined();
  }
});
