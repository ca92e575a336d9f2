import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { Machine, decodeSnapshot, encodeSnapshot } from "../src/index.ts";
import type { MachineKernel, MachineSnapshot } from "../src/index.ts";
import { restoreMachine, saveMachine } from "../src/node/index.ts";
import { Console, Guest, PROMPT, imageOf, kernelOf } from "./guest.ts";

const MINUTES = 60_000;
const DAY_MS = 86_400_000;
const POINTS = 100;

const folder = mkdtempSync(join(tmpdir(), "queztl-snapshots-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function cloud(): Promise<MachineKernel> {
  const image = await imageOf("cloud");
  if (typeof image === "string") throw new Error(image);
  return kernelOf(image, "cryptomgr.notests=1");
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([1, 2])(
  "the same seed, %i processors → the same output and instruction count, twice",
  async (cpus) => {
    const kernel = await cloud();
    const boot = async () => {
      const serial = new Console();
      let tail = "";
      await using machine = await Machine.create({
        ...kernel,
        cpus,
        memoryMib: 256,
        seed: 42,
        onGuestReset: "end",
        onSerial(bytes) {
          serial.take(bytes);
          // From inside the run, so that it ends at the same instruction.
          tail = (tail + String.fromCharCode(...bytes)).slice(-PROMPT.length);
          if (tail === PROMPT) machine.pressPowerButton();
        },
      });
      const end = await machine.run();
      const text = createHash("sha256").update(serial.text).digest("hex");
      const { instructions } = machine.statistics;
      return { reason: end.reason, length: serial.text.length, text, instructions };
    };
    const first = await boot();
    console.log(`seeded, ${cpus} processors:`, first);
    expect(await boot()).toEqual(first);
  },
);

test(`${POINTS} random saves and restores during a boot → the same shell prompt`, async () => {
  const kernel = await cloud();
  const serial = new Console();
  const options = { ...kernel, onSerial: serial.take };
  let machine = await Machine.create({ ...options, cpus: 2, memoryMib: 256 });
  // A boot to the prompt has some 430 million instructions with one processor, and more with two.
  const points = Array.from({ length: POINTS }, () => Math.random() * 420e6).sort((a, b) => a - b);
  console.log("saves at instructions:", points.map(Math.round).join(" "));
  const place = join(folder, "hundred");
  for (const point of points) {
    machine.start();
    while (machine.statistics.instructions < point && machine.end === undefined) await turn();
    await machine.pause();
    expect(machine.end).toBeUndefined();
    await saveMachine(machine, place);
    await machine.stop();
    machine = await restoreMachine(place, options);
  }
  await using last = machine;
  last.start();
  await serial.until("queztl: init", last, 5 * MINUTES);
  await serial.until(PROMPT, last, 5 * MINUTES);
  const guest = Guest.at(last, serial);
  expect(await guest.run("nproc; echo $((6 * 7))")).toBe("2\n42");
  expect(await guest.run("dmesg | grep -iE 'lockup|stall|oops|bug:|warning'")).toBe("");
});

test("saved, and restored in a new process → goes on where it was, with the host's time", async () => {
  await using guest = await Guest.boot({ ...(await cloud()), memoryMib: 256 }, 5 * MINUTES);
  await guest.run("echo 'from before' > /tmp/file; sleep 1000 & kept=yes");
  const before = Number((await guest.run("cat /proc/uptime")).split(" ")[0]);
  await guest.machine.pause();
  const place = join(folder, "process");
  await saveMachine(guest.machine, place);
  await guest.machine.stop();
  await new Promise((resolve) => setTimeout(resolve, 5000));

  const restore = async (command: string): Promise<string[]> => {
    const script = join(import.meta.dirname, "restore-process.ts");
    const args = ["--conditions=@queztl/source", script, place, command];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return stdout.split("\n");
  };
  const command = "cat /tmp/file; echo $kept; jobs | grep -c sleep; date +%s; cat /proc/uptime";
  for (let i = 0; i < 2; i++) {
    const [file, kept, jobs, date, uptime] = await restore(command);
    expect([file, kept, jobs]).toEqual(["from before", "yes", "1"]);
    expect(Math.abs(Number(date) - Date.now() / 1000)).toBeLessThan(10);
    expect(Number(uptime?.split(" ")[0])).toBeGreaterThan(before + 5);
  }

  // As if it had lain there for a day: the guest's watchdogs must not take that for a hang.
  const path = join(place, "machine.json");
  const file = decodeSnapshot(readFileSync(path)) as { machine: MachineSnapshot; memoryId: string };
  const { time } = file.machine.board;
  const board = { ...file.machine.board, time: { ...time, savedAtMs: time.savedAtMs - DAY_MS } };
  writeFileSync(path, encodeSnapshot({ ...file, machine: { ...file.machine, board } }));
  // The guest's clock was right when it was saved, so a day later it is a day ahead of this host's.
  const [date, uptime, log] = await restore(
    "sleep 2; date +%s; cut -d. -f1 /proc/uptime; dmesg | grep -ciE 'lockup|stall|oops|bug:'",
  );
  expect(Math.abs(Number(date) - (Date.now() + DAY_MS) / 1000)).toBeLessThan(20);
  expect(Number(uptime)).toBeGreaterThan(before + DAY_MS / 1000);
  expect(log).toBe("0");
});
