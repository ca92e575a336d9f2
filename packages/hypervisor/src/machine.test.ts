import { isQueztlError } from "@queztl/errors";
import { RngDevice } from "@queztl/virtio";
import { expect, test } from "vitest";
import { MAX_MEMORY_MIB } from "./machine-options.ts";
import { Machine, decodeSnapshot, encodeSnapshot } from "./index.ts";
import type { MachineOptions, MachineSnapshot, MachineState } from "./index.ts";
import {
  COUNT,
  ECHO,
  FLAT,
  HALT,
  POWER_OFF,
  PRINT_TSC,
  RESET,
  SCRATCH,
  SPIN,
  TRIPLE_FAULT,
  countTo,
  exit,
  loop,
  multibootKernel,
  print,
  program,
} from "./testing/tiny-kernel.ts";

const code = (expected: string) =>
  expect.toSatisfy((error) => isQueztlError(error, expected), expected);

/** Options for a flat program, with what it prints gathered. */
function flat(...pieces: readonly (readonly number[])[]) {
  let text = "";
  const onSerial = (bytes: Uint8Array): void => {
    text += Buffer.from(bytes).toString("latin1");
  };
  const options: MachineOptions = {
    kernel: program(...pieces),
    flat: FLAT,
    memoryMib: 2,
    debugExit: true,
    onSerial,
  };
  return { options, printed: () => text };
}

test("a kernel that prints and writes to the debug-exit port → its text and (value << 1) | 1", async () => {
  const { options, printed } = flat(print("hello"), exit(42), HALT);
  await using machine = await Machine.create(options);
  expect(machine.state).toBe("created");
  expect(await machine.run()).toEqual({ reason: "debug-exit", status: 85 });
  expect(machine.state).toBe("stopped");
  expect(printed()).toBe("hello");
  expect(machine.statistics).toMatchObject({ resets: 0, exits: { portWrite: 6, stop: 1 } });
});

test("a multiboot kernel → the same", async () => {
  const kernel = multibootKernel(print("hi"), exit(0), HALT);
  await using machine = await Machine.create({ kernel, memoryMib: 2, debugExit: true });
  expect(machine.plan?.kind).toBe("multiboot");
  expect(await machine.run()).toEqual({ reason: "debug-exit", status: 1 });
});

test("without a debug-exit port → the write goes nowhere; ACPI turns the machine off", async () => {
  const { options } = flat(exit(1), POWER_OFF, SPIN);
  await using machine = await Machine.create({ ...options, debugExit: false });
  expect(await machine.run()).toEqual({ reason: "power-off" });
});

test("a triple fault → crashed", async () => {
  const states: MachineState[] = [];
  const { options } = flat(TRIPLE_FAULT);
  const events = { onState: (state: MachineState) => void states.push(state) };
  await using machine = await Machine.create({ ...options, events });
  expect(await machine.run()).toEqual({ reason: "triple-fault" });
  expect(states).toEqual(["running", "crashed"]);
});

test("a guest that resets → it starts anew, with its memory, until it does something else", async () => {
  const { options, printed } = flat(print("."), countTo(3, exit(7)), RESET, SPIN);
  let resets = 0;
  await using machine = await Machine.create({ ...options, events: { onReset: () => resets++ } });
  expect(await machine.run()).toEqual({ reason: "debug-exit", status: 15 });
  expect(printed()).toBe("...");
  expect(resets).toBe(2);
  const once = await Machine.create({ ...options, onGuestReset: "end" });
  expect(await once.run()).toEqual({ reason: "reset" });
});

test("the reset button → the kernel as it was loaded, whatever the guest made of it", async () => {
  // It overwrites its own first instruction with hlt, then waits.
  const overwrite = [0xc6, 0x05, 0x00, 0x00, 0x10, 0x00, 0xf4];
  const { options, printed } = flat(print("a"), overwrite, HALT);
  await using machine = await Machine.create(options);
  machine.start();
  await machine.pause();
  machine.reset();
  machine.start();
  await machine.pause();
  expect(printed()).toBe("aa");
});

test("reset while the host still reads into the guest's memory → the kernel is loaded when that is done", async () => {
  const { options, printed } = flat(print("a"), HALT);
  let done: () => void = () => undefined;
  const reading = new Promise<void>((resolve) => (done = resolve));
  const device = Object.assign(new RngDevice(), { busy: true, settled: () => reading });
  await using machine = await Machine.create({ ...options, devices: [() => device] });
  machine.start();
  await expect.poll(printed).toBe("a");
  machine.reset();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(printed()).toBe("a");
  device.busy = false;
  done();
  await expect.poll(printed).toBe("aa");
});

test("a kernel that is read when it is needed → at the boot and at each reset", async () => {
  const { options, printed } = flat(print("a"), HALT);
  let reads = 0;
  const kernel = () => {
    reads++;
    return Promise.resolve({ kernel: options.kernel as Uint8Array, flat: FLAT });
  };
  const { onSerial } = options;
  await using machine = await Machine.create({
    kernel,
    memoryMib: 2,
    ...(onSerial && { onSerial }),
  });
  machine.start();
  machine.reset();
  await expect.poll(printed).toBe("aa");
  expect(reads).toBe(2);
});

test("pause → the guest stands still; start → it goes on; stop → it ends", async () => {
  const { options } = flat(COUNT);
  const machine = await Machine.create(options);
  machine.start();
  await machine.pause();
  expect(machine.state).toBe("paused");
  const count = machine.memory.readUint32(SCRATCH);
  expect(count).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(machine.memory.readUint32(SCRATCH)).toBe(count);
  machine.start();
  await machine.pause();
  expect(machine.memory.readUint32(SCRATCH)).toBeGreaterThan(count);
  await machine.stop();
  expect(await machine.ended).toEqual({ reason: "stopped" });
  expect(machine.state).toBe("stopped");
  await machine.stop();
});

test("calls in the wrong state → QZ_HYPERVISOR_STATE", async () => {
  const { options } = flat(SPIN);
  await using machine = await Machine.create(options);
  await expect(machine.pause()).rejects.toThrow(code("QZ_HYPERVISOR_STATE"));
  expect(() => machine.save()).toThrow(code("QZ_HYPERVISOR_STATE"));
  machine.start();
  expect(() => machine.start()).toThrow(code("QZ_HYPERVISOR_STATE"));
  expect(() => machine.save()).toThrow(code("QZ_HYPERVISOR_STATE"));
  await machine.stop();
  expect(() => machine.start()).toThrow(code("QZ_HYPERVISOR_STATE"));
});

test("a machine that never ran, or is paused → stops too", async () => {
  const { options } = flat(SPIN);
  const created = await Machine.create(options);
  await created.stop();
  expect(await created.ended).toEqual({ reason: "stopped" });
  const paused = await Machine.create(options);
  paused.start();
  await paused.pause();
  await paused.stop();
  expect(paused.state).toBe("stopped");
});

test("a halted guest → the processor is not run again until something comes", async () => {
  const { options } = flat(HALT);
  await using machine = await Machine.create(options);
  machine.start();
  await new Promise((resolve) => setTimeout(resolve, 30));
  await machine.pause();
  expect(machine.statistics).toMatchObject({ instructions: 2, exits: { halt: 1 } });
});

test("bytes sent to the guest → all arrive, in order, as fast as it takes them", async () => {
  const { options, printed } = flat(ECHO);
  await using machine = await Machine.create(options);
  const sent = Array.from({ length: 200 }, (_, i) => String.fromCharCode(33 + (i % 90))).join("");
  const all = [machine.serial.send(Buffer.from(sent)), machine.serial.send(Buffer.from("!end"))];
  expect(machine.serial.waiting).toBeGreaterThan(190);
  machine.start();
  await Promise.all(all);
  expect(machine.serial.waiting).toBe(0);
  await machine.pause();
  expect(printed()).toBe(`${sent}!end`);
});

test("a host that takes no more output → the guest waits until it does", async () => {
  const { options } = flat(ECHO);
  let taken = 0;
  await using machine = await Machine.create({ ...options, onSerial: () => ++taken < 5 });
  machine.start();
  await machine.serial.send(Buffer.from("x".repeat(40)));
  await machine.pause();
  expect(taken).toBe(5);
  machine.start();
  machine.serial.resumeOutput();
  expect(taken).toBeGreaterThan(5);
});

test("the same seed → the same output and instruction count; another → other random numbers", async () => {
  const rdrand = [0x0f, 0xc7, 0xf0, 0x66, 0xba, 0xf8, 0x03, 0xee];
  const pieces = [PRINT_TSC, print("-"), rdrand, PRINT_TSC, rdrand, rdrand, rdrand, exit(1)];
  const run = async (seed: number) => {
    const { options, printed } = flat(...pieces);
    await using machine = await Machine.create({ ...options, seed });
    await machine.run();
    return { text: printed(), instructions: machine.statistics.instructions };
  };
  const first = await run(1);
  expect(await run(1)).toEqual(first);
  expect((await run(2)).text).not.toBe(first.text);
});

/** A copy of a paused machine: its state through bytes, its memory. */
async function copy(machine: Machine, options: MachineOptions): Promise<Machine> {
  const bytes = encodeSnapshot(machine.save());
  const ram = machine.memory.readBytes(0, machine.memory.ramBytes);
  const snapshot = decodeSnapshot(bytes) as MachineSnapshot;
  return Machine.restore(options, snapshot, async (memory) => memory.writeBytes(0, ram));
}

test("a restored machine → goes on where it was, and can be reset", async () => {
  const { options, printed } = flat(print("<"), ECHO);
  await using first = await Machine.create(options);
  first.start();
  await first.serial.send(Buffer.from("ab"));
  await first.pause();
  await using second = await copy(first, options);
  expect(second.state).toBe("paused");
  expect(second.statistics.instructions).toBe(first.statistics.instructions);
  second.start();
  await second.serial.send(Buffer.from("cd"));
  await second.pause();
  expect(printed()).toBe("<abcd");
  second.reset();
  second.start();
  await second.pause();
  expect(printed()).toBe("<abcd<");
});

test("a restored machine's clock → the host's: guest time counts the time away, and never goes back", async () => {
  const { options } = flat(COUNT);
  await using first = await Machine.create(options);
  first.start();
  await first.pause();
  const snapshot = first.save();
  const { time } = snapshot.board;
  for (const awayMs of [0, 3_600_000, -3_600_000]) {
    const board = { ...snapshot.board, time: { ...time, savedAtMs: time.savedAtMs - awayMs } };
    await using second = await Machine.restore(options, { ...snapshot, board }, async () => {});
    second.start();
    await second.pause();
    const passed = second.statistics.guestSeconds - time.guestNs / 1e9;
    expect(passed).toBeGreaterThanOrEqual(Math.max(0, awayMs / 1000));
    expect(passed).toBeLessThan(Math.max(0, awayMs / 1000) + 60);
    const { epochMs, guestNs } = second.save().board.time;
    expect(Math.abs(epochMs + guestNs / 1e6 - Date.now())).toBeLessThan(60_000);
  }
});

test("a seeded machine saved and restored on its way → the same output and count as without", async () => {
  const pieces = [print("abc"), loop(1_000_000), PRINT_TSC, PRINT_TSC, exit(3)];
  const { options, printed } = flat(...pieces);
  await using whole = await Machine.create({ ...options, seed: 5 });
  await whole.run();
  const again = flat(...pieces);
  let machine = await Machine.create({ ...again.options, seed: 5 });
  let copies = 0;
  for (;;) {
    machine.start();
    await machine.pause();
    if (machine.state === "stopped") break;
    copies++;
    machine = await copy(machine, again.options);
  }
  expect(copies).toBeGreaterThan(0);
  expect(again.printed()).toBe(printed());
  expect(machine.statistics.instructions).toBe(whole.statistics.instructions);
});

test("snapshots that are none, or of another machine → coded errors", async () => {
  const { options } = flat(COUNT);
  await using machine = await Machine.create(options);
  machine.start();
  await machine.pause();
  const good = machine.save();
  const restore = (snapshot: unknown, other: MachineOptions = options) =>
    Machine.restore(other, snapshot as MachineSnapshot, async () => {});
  const SNAPSHOT = "QZ_HYPERVISOR_SNAPSHOT";
  for (const bad of [
    null,
    1,
    {},
    { ...good, version: 2 },
    { ...good, board: {} },
    { ...good, board: { ...good.board, time: { ...good.board.time, guestNs: Infinity } } },
    { ...good, board: { ...good.board, devices: [{}] } },
    { ...good, shape: { ...good.shape, cpus: 2 } },
    { ...good, board: { ...good.board, processors: {} } },
  ])
    await expect(restore(bad)).rejects.toThrow(code(SNAPSHOT));
  await expect(restore(good, { ...options, debugExit: false })).rejects.toThrow(code(SNAPSHOT));
  await expect(restore({ ...good, shape: { cpus: 0 } })).rejects.toThrow(code(SNAPSHOT));
  expect(() => decodeSnapshot(Buffer.from("{"))).toThrow(code(SNAPSHOT));
  expect(() => decodeSnapshot(Buffer.from('{"$n":"x"}'))).toThrow(code(SNAPSHOT));
});

test("sizes that are not possible → QZ_HYPERVISOR_OPTIONS", async () => {
  const { options } = flat(SPIN);
  for (const bad of [{ cpus: 0 }, { cpus: 1.5 }, { cpus: 65 }, { memoryMib: 0 }, { seed: -1 }])
    await expect(Machine.create({ ...options, ...bad })).rejects.toThrow(
      code("QZ_HYPERVISOR_OPTIONS"),
    );
});

test("a device that cannot be made → its error, and the devices before it are closed", async () => {
  let closed = 0;
  const fails = (): never => {
    throw new Error("no such thing");
  };
  const devices = [
    () => Object.assign(new RngDevice(), { close: async () => void closed++ }),
    fails,
  ];
  const { options } = flat(SPIN);
  await expect(Machine.create({ ...options, devices })).rejects.toThrow("no such thing");
  expect(closed).toBe(1);
});

test("a device that cannot be closed → the machine ends all the same, and tells", async () => {
  const close = () => Promise.reject(new Error("the disk is gone"));
  const faults: string[] = [];
  const { options } = flat(POWER_OFF, SPIN);
  await using machine = await Machine.create({
    ...options,
    devices: [() => Object.assign(new RngDevice(), { close })],
    events: { onDeviceFault: (device, error) => void faults.push(`${device}: ${error.message}`) },
  });
  expect(await machine.run()).toEqual({ reason: "power-off" });
  expect(faults).toEqual(["rng: the disk is gone"]);
});

test.each([3584, MAX_MEMORY_MIB])(
  "%i MiB → made at once, for memory is given only when it is touched",
  async (memoryMib) => {
    const { options } = flat(exit(0));
    await using machine = await Machine.create({ ...options, memoryMib });
    expect(await machine.run()).toEqual({ reason: "debug-exit", status: 1 });
  },
);

test("a defect in a device → the machine has crashed, the monitor has not", async () => {
  const { options } = flat(print("x"), SPIN);
  const onSerial = (): never => {
    throw new TypeError("a defect");
  };
  await using machine = await Machine.create({ ...options, onSerial });
  const end = await machine.run();
  expect(end).toMatchObject({ reason: "failure", error: code("QZ_HYPERVISOR_CRASHED") });
  expect(machine.state).toBe("crashed");
});
