import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver, pattern, turn, until } from "../testing/driver.ts";
import { ConsoleFeature } from "./config.ts";
import { ConsoleDevice } from "./device.ts";
import type { ConsoleDeviceOptions } from "./device.ts";
import { INPUT_BYTES } from "./port.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

function started(options: Partial<ConsoleDeviceOptions> = {}, without = 1n << 29n) {
  const output: [string, string][] = [];
  const opens: [string, boolean][] = [];
  const port = (name: string) => ({
    name,
    onOutput: (data: Uint8Array) => void output.push([name, text(data)]),
    onGuestOpen: (open: boolean) => void opens.push([name, open]),
  });
  const device = new ConsoleDevice({ ports: [port("tty"), port("agent")], ...options });
  const driver = new MockDriver(device).start({ without });
  return { device, driver, opens, output };
}

function control(port: number, event: number, value: number): Uint8Array {
  const message = new Uint8Array(8);
  const view = new DataView(message.buffer);
  view.setUint32(0, port, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  return message;
}

/** Puts buffers for control messages and returns those that came so far, as [port, event, value, body]. */
function controlMessages(driver: MockDriver): [number, number, number, string][] {
  return driver
    .queue(2)
    .poll()
    .map(({ data, written }) => {
      const view = new DataView(data.buffer);
      const body = text(data.subarray(8, written));
      return [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), body];
    });
}

/** As Linux: buffers, DEVICE_READY, PORT_READY for each port, then programs open them. */
function shakeHands(driver: MockDriver): [number, number, number, string][] {
  for (let i = 0; i < 16; i++) driver.queue(2).send(32);
  driver.queue(3).send(control(0, 0, 1));
  const added = controlMessages(driver);
  for (const [port] of added) driver.queue(3).send(control(port, 3, 1));
  for (const [port] of added) driver.queue(3).send(control(port, 6, 1));
  driver.queue(3).poll();
  return [...added, ...controlMessages(driver)];
}

describe("several ports", () => {
  it("DEVICE_READY and PORT_READY → the ports, what they are and what they are called", () => {
    const { driver, opens } = started({ size: undefined as never });
    expect(shakeHands(driver)).toEqual([
      [0, 1, 1, ""],
      [1, 1, 1, ""],
      [0, 4, 1, ""],
      [0, 7, 1, "tty"],
      [0, 6, 1, ""],
      [1, 7, 1, "agent"],
      [1, 6, 1, ""],
    ]);
    expect(opens).toEqual([
      ["tty", true],
      ["agent", true],
    ]);
  });

  it("the guest writes to its ports → each reader gets its port's bytes", () => {
    const { driver, output } = started();
    shakeHands(driver);
    driver.queue(1).send(bytes("login: "));
    driver.queue(5).send(bytes("{}"), bytes("\n"));
    expect(output).toEqual([
      ["tty", "login: "],
      ["agent", "{}\n"],
    ]);
    expect(driver.queue(5).poll()).toHaveLength(1);
  });

  it("the host writes → the guest's buffers are filled in order, small or large", () => {
    const { device, driver } = started();
    shakeHands(driver);
    const data = pattern(10_000);
    driver.queue(4).send(100);
    expect(device.port("agent").write(data)).toBe(10_000);
    driver.queue(4).send(20_000);
    const [first, second] = driver.queue(4).poll();
    expect([first?.written, second?.written]).toEqual([100, 9900]);
    expect(Buffer.compare(second?.data.subarray(0, 9900) ?? data, data.subarray(100))).toBe(0);
  });

  it("the guest's end is closed → input waits until a program opens it", () => {
    const { device, driver } = started();
    shakeHands(driver);
    driver.queue(3).send(control(1, 6, 0));
    driver.queue(4).send(64);
    device.port("agent").write(bytes("hello"));
    expect(driver.queue(4).poll()).toEqual([]);
    driver.queue(3).send(control(1, 6, 1));
    expect(driver.queue(4).poll()[0]?.written).toBe(5);
  });

  it("the host closes and opens its end → the guest is told the last state only", () => {
    const { device, driver } = started();
    shakeHands(driver);
    device.port("agent").setOpen(false);
    expect(controlMessages(driver)).toEqual([[1, 6, 0, ""]]);
  });
});

describe("a driver without MULTIPORT", () => {
  it("port 0 works at once; SIZE is in the configuration", () => {
    const { device, driver, output } = started(
      { size: { columns: 80, rows: 25 } },
      ConsoleFeature.MultiPort,
    );
    expect([driver.config(0, 2), driver.config(2, 2), driver.config(4, 4)]).toEqual([80, 25, 2]);
    driver.queue(0).send(16);
    device.ports[0]?.write(bytes("ls\n"));
    expect(driver.queue(0).poll()[0]?.written).toBe(3);
    driver.queue(1).send(bytes("ok"));
    expect(output).toEqual([["tty", "ok"]]);
  });
});

describe("size and emergency writes", () => {
  it.each([
    ["rows", "\x28\x00\x78\x00"],
    ["columns", "\x78\x00\x28\x00"],
  ] as const)("resized, %s first → configuration interrupt and a RESIZE message", (order, body) => {
    const { device, driver } = started({ resizeOrder: order });
    shakeHands(driver);
    driver.acknowledge();
    device.resize({ columns: 0x78, rows: 0x28 });
    expect(controlMessages(driver)).toEqual([[0, 5, 0, body]]);
    expect(driver.acknowledge() & 2).toBe(2);
    expect(driver.config(0, 4)).toBe(0x280078);
  });

  it("a write to emerg_wr before any set-up → the byte is output of port 0", () => {
    const output: number[] = [];
    const device = new ConsoleDevice({
      ports: [{ name: "tty", onOutput: (data) => void output.push(...data) }],
    });
    const driver = new MockDriver(device);
    driver.writeConfig(8, 4, 0x41);
    expect(output).toEqual([0x41]);
  });
});

describe("back-pressure", () => {
  it("a reader that has enough → the guest's output waits in the ring until resume", () => {
    const seen: string[] = [];
    const device = new ConsoleDevice({
      ports: [
        {
          name: "tty",
          onOutput: (data) => {
            seen.push(text(data));
            return seen.length > 1;
          },
        },
      ],
    });
    const driver = new MockDriver(device).start();
    driver.queue(1).send(bytes("a"));
    driver.queue(1).send(bytes("b"));
    expect(seen).toEqual(["a"]);
    device.ports[0]?.resume();
    expect(seen).toEqual(["a", "b"]);
  });

  it("a guest that does not read → the port takes 256 KiB, then no more until it drains", () => {
    let drained = 0;
    const device = new ConsoleDevice({ ports: [{ name: "tty", onDrain: () => drained++ }] });
    const driver = new MockDriver(device).start({ without: ConsoleFeature.MultiPort });
    const port = device.ports[0];
    expect(port?.write(new Uint8Array(INPUT_BYTES + 5))).toBe(INPUT_BYTES);
    expect(port?.write(new Uint8Array(5))).toBe(0);
    driver.queue(0).send(INPUT_BYTES);
    expect(drained).toBe(1);
    expect(port?.pending).toBe(0);
  });

  it("a flooding guest under a limit → output waits for guest time", async () => {
    const clock = new VirtualClock();
    const { device, driver, output } = started({ clock, limit: { perSecond: 1000, burst: 10 } });
    driver.queue(1).send(bytes("x".repeat(500)));
    driver.queue(1).send(bytes("y"));
    await turn();
    expect(output).toHaveLength(1);
    expect(device.counters.throttled).toBe(1);
    clock.advanceTo(1e9);
    await until(() => output.length === 2);
  });
});

describe("a hostile driver", () => {
  it.each([
    ["a control message of 4 bytes", 3, [new Uint8Array(4)]],
    ["a control message of a page", 3, [new Uint8Array(4096)]],
    ["output of more than 1 MiB at once", 1, [new Uint8Array(1024 * 1024 + 1)]],
  ])("%s → DEVICE_NEEDS_RESET", (_, queue, buffers) => {
    const { driver } = started();
    driver.queue(queue).send(...buffers);
    expect(driver.needsReset).toBe(true);
    expect(driver.faults[0]).toMatchObject({ code: "QZ_VIRTIO_REQUEST" });
  });

  it("control buffers too small for a message → DEVICE_NEEDS_RESET", () => {
    const { driver } = started();
    driver.queue(2).send(4);
    driver.queue(3).send(control(0, 0, 1));
    expect(driver.needsReset).toBe(true);
  });

  it("DEVICE_READY, PORT_READY and unknown events again and again → what waits stays small", () => {
    const { device, driver } = started();
    for (let i = 0; i < 1000; i++) {
      driver.queue(3).send(control(i % 5, i % 12, 1));
      driver.queue(3).poll();
    }
    expect(device.save().control.length).toBeLessThan(16);
    expect(driver.needsReset).toBe(false);
  });
});

describe("reset, save, restore", () => {
  it("reset → ports are closed, their readers are told", () => {
    const { driver, opens } = started();
    shakeHands(driver);
    driver.write(0x70, 0);
    expect(opens.slice(2)).toEqual([
      ["tty", false],
      ["agent", false],
    ]);
  });

  it("saved with input waiting → the guest reads it after the restore", () => {
    const first = started();
    shakeHands(first.driver);
    first.device.port("agent").write(bytes("waiting"));
    const state = structuredClone(first.driver.transport.save());

    const second = started();
    const driver = new MockDriver(second.device, first.driver.memory);
    driver.transport.restore(state);
    driver.transport.control.resume();
    expect(second.device.port("agent").guestOpen).toBe(true);
    first.driver.queue(4).add(64);
    driver.notify(4);
    const [done] = first.driver.queue(4).poll();
    expect(text(done?.data.subarray(0, done.written) ?? new Uint8Array())).toBe("waiting");
  });

  it("a state with other ports → QZ_VIRTIO_STATE", () => {
    const { device } = started();
    const state = device.save();
    expect(() => device.restore({ ...state, ports: [] })).toThrow(/number of ports/);
    expect(() => device.restore({ ...state, version: 2 as 1 })).toThrow(/version 2/);
  });
});
