import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { isQueztlError } from "@queztl/errors";
import { afterAll, expect, test } from "vitest";
import {
  HALT,
  POWER_OFF,
  SPIN,
  TRIPLE_FAULT,
  exit,
  multibootKernel,
  out8,
  print,
} from "../testing/tiny-kernel.ts";
import { parseCommandLine } from "./command-line.ts";
import { runCommand } from "./run-command.ts";
import type { RunHost } from "./run-host.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-vm-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

function kernel(name: string, ...pieces: readonly (readonly number[])[]): string {
  writeFileSync(at(name), multibootKernel(...pieces));
  return at(name);
}

/** Runs the command inside this process. */
async function run(...args: string[]) {
  const line = parseCommandLine(["run", "--memory", "2", ...args]);
  if (line.command !== "run") throw new Error("not a run");
  const stdin = new PassThrough() as unknown as NodeJS.ReadStream;
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  let signal: Parameters<RunHost["onSignal"]>[0] = () => undefined;
  const onSignal: RunHost["onSignal"] = (listener) => {
    signal = listener;
    return () => undefined;
  };
  const running = runCommand(line.run, { stdin, stdout, stderr, onSignal });
  const text = (stream: PassThrough): string => String((stream.read() as Buffer | null) ?? "");
  return {
    running,
    stdout,
    interrupt: () => signal("SIGINT"),
    result: async () => ({
      status: await running,
      output: text(stdout),
      errors: text(stderr),
    }),
  };
}

test.for([
  ["power-off", [POWER_OFF, SPIN], 0],
  ["a value of 0 at the debug-exit port", [exit(0), SPIN], 1],
  ["a value of 16 at the debug-exit port", [exit(16), SPIN], 33],
  ["a triple fault", [TRIPLE_FAULT], 3],
] as const)("$0 → status $2, and the output before it", async ([name, pieces, status]) => {
  const path = kernel(name, print("before\n"), ...pieces);
  const { result } = await run("--kernel", path, "--debug-exit");
  expect(await result()).toMatchObject({ status, output: "before\n" });
});

test("a guest that goes on → 124 after the timeout, 130 when interrupted", async () => {
  const path = kernel("halt", print("up"), HALT);
  const timed = await run("--kernel", path, "--timeout", "1", "--serial", "none");
  const interrupted = await run("--kernel", path);
  interrupted.stdout.once("readable", interrupted.interrupt);
  expect(await interrupted.running).toBe(130);
  expect(await timed.running).toBe(124);
});

test("--serial FILE and --stats FILE → they hold output and figures", async () => {
  const path = kernel("print", print("to a file"), POWER_OFF, SPIN);
  const files = ["--serial", at("serial.log"), "--stats", at("stats.json")];
  const { result } = await run("--kernel", path, ...files);
  expect(await result()).toEqual({ status: 0, output: "", errors: "" });
  expect(readFileSync(at("serial.log"), "utf8")).toBe("to a file");
  const stats = JSON.parse(readFileSync(at("stats.json"), "utf8")) as Record<string, unknown>;
  expect(stats).toMatchObject({
    status: 0,
    end: "power-off",
    instructionsByCpu: [stats["instructions"]],
    exits: { portWrite: 10, stop: 1 },
  });
  for (const key of ["wallSeconds", "cpuSeconds", "guestSeconds", "firstSerialSeconds"])
    expect(stats[key]).toBeGreaterThan(0);
});

test.each([
  ["auto", expect.any(Number)],
  ["0", 0],
])("a loop in tier %s with --stats → the seconds of each tier", async (tier, regions) => {
  const path = kernel("loop", SPIN);
  const file = at(`tier-${tier}.json`);
  const { result } = await run("--kernel", path, "--tier", tier, "--timeout", "1", "--stats", file);
  expect((await result()).status).toBe(124);
  const { tierSeconds, ranSeconds } = JSON.parse(readFileSync(file, "utf8"));
  expect(tierSeconds).toEqual({
    interpreter: expect.any(Number),
    regions,
    translation: expect.any(Number),
  });
  const most = tier === "auto" ? tierSeconds.regions : tierSeconds.interpreter;
  expect(most).toBeGreaterThan(ranSeconds / 4);
});

test("a kernel that reports a panic → a line about it, and the run goes on", async () => {
  const path = kernel("panic", out8(0x505, 1), print("after"), POWER_OFF, SPIN);
  expect(await (await run("--kernel", path)).result()).toEqual({
    status: 0,
    output: "after",
    errors: "queztl-vm: the guest's kernel panicked\n",
  });
});

test("a compressed kernel → runs", async () => {
  const path = kernel("plain", print("unpacked"), POWER_OFF, SPIN);
  writeFileSync(at("kernel.gz"), gzipSync(readFileSync(path)));
  expect(await (await run("--kernel", at("kernel.gz"))).result()).toMatchObject({
    status: 0,
    output: "unpacked",
  });
});

test("--initrd twice → a multiboot kernel's modules, by name", async () => {
  // eax holds the loader's magic, ebx its information: mods_count lies at 20.
  const modules = [0x8a, 0x43, 0x14, 0x66, 0xba, 0xf4, 0x00, 0xee, ...HALT];
  const path = kernel("modules", modules);
  writeFileSync(at("first"), "1");
  writeFileSync(at("second"), "2");
  const modulesGiven = ["--initrd", at("first"), "--initrd", at("second")];
  const { running } = await run("--kernel", path, "--debug-exit", ...modulesGiven);
  expect(await running).toBe(5);
});

test.for([
  ["no such kernel", ["--kernel", "/no/such/kernel"], "QZ_HYPERVISOR_FILE"],
  ["a folder", ["--kernel", tmpdir()], "QZ_HYPERVISOR_FILE"],
  ["something else", ["--kernel", import.meta.filename], "QZ_BOOT_UNKNOWN_KERNEL"],
  ["a kernel for arm64", ["--kernel", at("arm64")], "QZ_BOOT_WRONG_ARCHITECTURE"],
  ["a compressed one for arm64", ["--kernel", at("arm64.gz")], "QZ_BOOT_WRONG_ARCHITECTURE"],
  ["a damaged compressed one", ["--kernel", at("damaged.gz")], "QZ_BOOT_DECOMPRESSION"],
  ["a kernel cut short", ["--kernel", at("cut")], "QZ_BOOT_TRUNCATED"],
  ["an initrd larger than memory", ["--initrd", at("large")], "QZ_BOOT_NO_ROOM"],
  ["no such initrd", ["--initrd", "/no/such/initrd"], "QZ_HYPERVISOR_FILE"],
  ["no such disk", ["--disk", "/no/such/disk"], "QZ_HYPERVISOR_FILE"],
  ["a folder for a disk", ["--disk", tmpdir()], "QZ_HYPERVISOR_FILE"],
  ["an empty disk", ["--disk", at("empty")], "QZ_VIRTIO_OPTIONS"],
  ["a raw disk as qcow2", ["--disk", `${import.meta.filename},format=qcow2`], "QZ_VIRTIO_IMAGE"],
  ["a switch that nobody listens at", ["--net", "switch,connect=/no/such"], "QZ_VIRTIO_CLOSED"],
  ["a switch nowhere", ["--net", "switch,listen=/no/such/folder/s"], "QZ_VIRTIO_NET_LISTEN"],
  ["a group's address", ["--net", "user,mac=53:54:00:00:00:01"], "QZ_VIRTIO_OPTIONS"],
  ["a rule that does not read", ["--net", "user,allow=everything"], "QZ_VIRTIO_OPTIONS"],
  ["statistics nowhere", ["--stats", "/no/such/folder/s.json"], "QZ_HYPERVISOR_OPTIONS"],
  ["a serial file nowhere", ["--serial", "/no/such/folder/s.log"], "QZ_HYPERVISOR_OPTIONS"],
  ["kvm", ["--engine", "kvm"], "QZ_HYPERVISOR_UNSUPPORTED"],
] as const)("$0 → $2 before anything starts", async ([, args, code]) => {
  const arm64 = new Uint8Array(128);
  arm64.set(Buffer.from("ARM\x64"), 0x38);
  writeFileSync(at("arm64"), arm64);
  writeFileSync(at("arm64.gz"), gzipSync(arm64));
  writeFileSync(at("damaged.gz"), gzipSync(arm64).fill(0xff, 12));
  writeFileSync(at("cut"), Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0));
  writeFileSync(at("large"), Buffer.alloc(3 << 20, 1));
  writeFileSync(at("empty"), "");
  const given = (args as readonly string[]).includes("--kernel");
  const { running } = await run(...(given ? [] : ["--kernel", kernel("spin", SPIN)]), ...args);
  await expect(running).rejects.toThrow(expect.toSatisfy((e) => isQueztlError(e, code), code));
});

/** Runs the executable as a process of its own. */
function execute(...args: string[]) {
  const main = join(import.meta.dirname, "main.ts");
  const child = spawn(process.execPath, ["--conditions=@queztl/source", main, ...args]);
  let [output, errors] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (output += String(data)));
  child.stderr.on("data", (data: Buffer) => (errors += String(data)));
  const status = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, status, output: () => output, errors: () => errors };
}

test("the executable → statuses and messages reach the shell", { timeout: 60_000 }, async () => {
  const path = kernel("terminate", print("up\n"), HALT);
  const good = execute("run", "--kernel", path, "--memory", "2");
  good.child.stdout.once("data", () => good.child.kill("SIGTERM"));
  const bad = execute("run", "--kernel", path, "--cpus", "0");
  expect(await bad.status).toBe(2);
  expect(bad.errors()).toContain("give a whole number from 1 to 64 (QZ_HYPERVISOR_OPTIONS)");
  expect(await good.status).toBe(143);
  expect(good.output()).toBe("up\n");
});
