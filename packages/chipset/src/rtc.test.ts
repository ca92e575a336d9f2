import { VirtualClock } from "@queztl/memory";
import { expect, test } from "vitest";
import { Rtc } from "./rtc.ts";
import { TestLine } from "./testing/wires.ts";

const MIB = 1024 * 1024;

function setup(time = "2026-03-04T21:58:07Z", ramBytes = 512 * MIB) {
  const clock = new VirtualClock(Date.parse(time));
  const line = new TestLine();
  const rtc = new Rtc({ clock, interrupt: line, ramBytes });
  const read = (register: number) => {
    rtc.ports.write(0, 1, register);
    return rtc.ports.read(1, 1);
  };
  const write = (register: number, value: number) => {
    rtc.ports.write(0, 1, register);
    rtc.ports.write(1, 1, value);
  };
  const seconds = (s: number) => clock.advanceTo(s * 1e9);
  const time14 = () => [0x32, 9, 8, 7, 4, 2, 0].map(read);
  return { clock, line, rtc, read, write, seconds, time14 };
}

test("the host's time → in BCD and 24 hours, with century and weekday", () => {
  const { time14, read } = setup();
  expect(time14()).toEqual([0x20, 0x26, 0x03, 0x04, 0x21, 0x58, 0x07]);
  expect(read(6)).toBe(4); // a Wednesday
  expect(read(13)).toBe(0x80);
});

test("binary and 12-hour modes → the same time", () => {
  const { write, read, time14 } = setup();
  write(11, 0x06);
  expect(time14()).toEqual([20, 26, 3, 4, 21, 58, 7]);
  write(11, 0x00);
  expect(read(4)).toBe(0x89);
  write(11, 0x04);
  expect(read(4)).toBe(0x80 | 9);
});

test("midnight and noon in 12-hour mode → 12 AM and 12 PM", () => {
  for (const [time, hour] of [
    ["2026-01-01T00:30:00Z", 0x12],
    ["2026-01-01T12:30:00Z", 0x92],
  ] as const) {
    const { write, read } = setup(time);
    write(11, 0);
    expect(read(4)).toBe(hour);
  }
});

test("guest time → goes on over the end of the year", () => {
  const { seconds, time14 } = setup("1999-12-31T23:59:59Z");
  seconds(1);
  expect(time14()).toEqual([0x20, 0, 1, 1, 0, 0, 0]);
});

test("update in progress → only in the last 244 µs of a second", () => {
  const { clock, read } = setup();
  clock.advanceTo(999_700_000);
  expect(read(10)).toBe(0x26);
  clock.advanceTo(999_800_000);
  expect(read(10)).toBe(0xa6);
  clock.advanceTo(1e9);
  expect(read(10)).toBe(0x26);
});

test("time set as Linux does, divider stopped → kept, and goes on from there", () => {
  const { write, seconds, time14 } = setup();
  write(11, 0x82);
  write(10, 0x76);
  const wanted = [0x20, 0x31, 0x12, 0x24, 0x18, 0x00, 0x30];
  [0x32, 9, 8, 7, 4, 2, 0].forEach((register, i) => write(register, wanted[i] as number));
  seconds(5);
  expect(time14()).toEqual(wanted);
  write(11, 0x02);
  expect(time14()).toEqual(wanted);
  write(10, 0x26);
  seconds(17);
  expect(time14()).toEqual([0x20, 0x31, 0x12, 0x24, 0x18, 0x00, 0x42]);
});

test("the update interrupt → once a second, acknowledged by reading C", () => {
  const { write, read, seconds, line } = setup();
  read(12);
  write(11, 0x12);
  seconds(0.9);
  expect(line.asserted).toBe(false);
  seconds(1);
  expect(line.asserted).toBe(true);
  expect(read(12) & 0x90).toBe(0x90);
  expect(line.asserted).toBe(false);
  expect(read(12)).toBe(0);
  seconds(2);
  expect(line.edges).toBe(2);
});

test("the periodic interrupt → at its rate, as long as each is acknowledged", () => {
  const { write, read, clock, line } = setup();
  write(10, 0x26); // 1024 Hz
  write(11, 0x42);
  for (let i = 1; i <= 1024; i++) {
    clock.advanceTo(Math.ceil((i * 1e9) / 1024));
    expect(read(12) & 0xc0).toBe(0xc0);
  }
  expect(line.edges).toBe(1024);
  expect(clock.nextDeadlineNs()).toBeLessThan(Infinity);
});

test("an interrupt that nobody acknowledges → no more timers", () => {
  const { write, clock, line } = setup();
  write(11, 0x42);
  clock.advanceTo(1e9);
  expect(line.asserted).toBe(true);
  expect(clock.nextDeadlineNs()).toBe(Infinity);
});

test("flags with no interrupt enabled → still there to poll", () => {
  const { read, seconds, line } = setup();
  read(12);
  seconds(1.5);
  expect(read(12)).toBe(0x50);
  expect(line.edges).toBe(0);
});

test("an alarm → at its time of day; registers from 0xC0 match anything", () => {
  const { write, seconds, line, read } = setup();
  write(5, 0x21);
  write(3, 0x59);
  write(1, 0x02);
  write(11, 0x22);
  seconds(54);
  expect(line.asserted).toBe(false);
  seconds(55);
  expect(read(12) & 0xa0).toBe(0xa0);
  for (const register of [1, 3, 5]) write(register, 0xff);
  seconds(57);
  expect(line.asserted).toBe(true);
});

test("a date that does not exist → carried over, no error", () => {
  const { write, read } = setup();
  write(11, 0x06);
  write(8, 2);
  write(7, 31);
  expect([read(8), read(7)]).toEqual([3, 3]);
  for (let register = 0; register < 128; register++) write(register, 0xff);
  expect(read(13)).toBe(0x80);
});

test("the memory sizes → where firmware puts them", () => {
  const word = (rtc: ReturnType<typeof setup>, register: number) =>
    rtc.read(register) | (rtc.read(register + 1) << 8);
  const small = setup(undefined, 32 * MIB);
  expect(word(small, 0x15)).toBe(640);
  expect(word(small, 0x17)).toBe(31 * 1024);
  expect(word(small, 0x34)).toBe(256);
  const large = setup(undefined, 3584 * MIB);
  expect(word(large, 0x30)).toBe(0xffff);
  expect(word(large, 0x34)).toBe((0xc000_0000 - 16 * MIB) / 65536);
  expect(word(large, 0x5b)).toBe((512 * MIB) / 65536);
});

test("CMOS RAM → keeps what is written, over a reset too", () => {
  const { rtc, write, read } = setup();
  write(0x40, 0xa5);
  rtc.setCmos(0x5f, 1);
  rtc.reset();
  expect([read(0x40), read(0x5f)]).toEqual([0xa5, 1]);
  rtc.ports.write(0, 1, 0x8f);
  expect(rtc.nmiMasked).toBe(true);
});
