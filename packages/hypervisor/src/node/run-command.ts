import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { Writable } from "node:stream";
import type { ConsoleDevice, TerminalSize } from "@queztl/virtio";
import { createEmulatorEngine } from "../emulator-engine.ts";
import type { Engine } from "../engine.ts";
import { hypervisorError } from "../errors.ts";
import { Machine } from "../machine.ts";
import type { MachineStatistics } from "../machine.ts";
import { collectModules } from "./collect-modules.ts";
import type { MachineEnd } from "../machine-end.ts";
import type { RunArguments, Terminal } from "./command-line.ts";
import { balloon, disk, network, terminal } from "./host-devices.ts";
import { kernelReader } from "./host-files.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { RegionSampler } from "./region-sampler.ts";
import { ExitStatus } from "./run-host.ts";
import type { RunHost } from "./run-host.ts";
import { KEYS_HELP, connectInput } from "./terminal.ts";

/**
 * Runs a machine until it ends. @returns the exit status.
 * @throws coded errors for arguments and files that do not do, before anything is started.
 */
export async function runCommand(run: RunArguments, host: RunHost): Promise<number> {
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const append = run.append ?? "console=ttyS0";
  const engine = chooseEngine(run);
  const kernel = await kernelReader(run.kernel, run.initrds, append);
  await using statsFile =
    run.statsFile === undefined ? undefined : await openStatistics(run.statsFile);
  const stream = await terminalStream("the serial port's file", run.serial, host.stdout);
  const output = stream && new OutputBuffer(stream, () => machine.serial.resumeOutput());
  const console = await virtioConsole(run.console, host);
  await using machine = await Machine.create({
    kernel,
    engine,
    memoryMib: run.memoryMib,
    cpus: run.cpus,
    debugExit: run.debugExit,
    ...(run.seed === undefined ? {} : { seed: run.seed }),
    ...(output && { onSerial: (bytes: Uint8Array) => output.write(bytes) }),
    devices: [
      ...run.disks.map(disk),
      ...run.networks.map((each) => network(each)),
      ...(console ? [console.device] : []),
      ...(run.balloon ? [balloon] : []),
    ],
    events: {
      onPanic: () => host.stderr.write("queztl-vm: the guest's kernel panicked\n"),
      onDeviceFault: (device, error) =>
        host.stderr.write(`queztl-vm: the guest's ${device} device stopped: ${error.message}\n`),
    },
  });

  // Who ended the run from outside decides the status.
  let outside: number | undefined;
  const leave = (status: number): void => {
    outside ??= status;
    void machine.stop();
  };
  for (const each of [stream, console?.stream]) each?.on("error", () => leave(ExitStatus.Failed));
  const timer =
    run.timeoutSeconds === undefined
      ? undefined
      : setTimeout(() => leave(ExitStatus.Timeout), run.timeoutSeconds * 1000);
  const stopSignals = host.onSignal((signal) =>
    leave(signal === "SIGINT" ? ExitStatus.Interrupted : ExitStatus.Terminated),
  );
  const typed = run.console === "stdio" ? console : machine.serial;
  const disconnect =
    typed && (run.serial === "stdio" || run.console === "stdio")
      ? connectInput(host.stdin, {
          send: (bytes) => typed.send(bytes),
          leave: () => leave(ExitStatus.PowerOff),
          help: () => host.stdout.write(KEYS_HELP),
        })
      : undefined;
  const stopCollecting = collectModules(machine);
  const { regionFlags } = machine;
  const sampler = statsFile && regionFlags && new RegionSampler(regionFlags);
  let end: MachineEnd;
  let regionSeconds = 0;
  try {
    end = await machine.run();
  } finally {
    clearTimeout(timer);
    stopCollecting();
    regionSeconds = (await sampler?.stop()) ?? 0;
    stopSignals();
    disconnect?.();
    await output?.end();
    await console?.output.end();
  }
  if (end.reason === "failure") host.stderr.write(`queztl-vm: ${end.error.message}\n`);
  if (end.reason === "triple-fault") host.stderr.write("queztl-vm: triple fault\n");
  const status = outside ?? statusOf(end);
  if (statsFile !== undefined) {
    const { statistics: counted } = machine;
    const statistics = {
      status,
      end: end.reason,
      ...counted,
      tierSeconds: tierSeconds(counted, regionSeconds),
      wallSeconds: (performance.now() - startedMs) / 1000,
      cpuSeconds: secondsOf(process.cpuUsage(cpuBefore)),
    };
    await statsFile.writeFile(`${JSON.stringify(statistics, undefined, 2)}\n`);
  }
  return status;
}

/** How long the machine spent in each tier; its helpers and devices are counted with the interpreter. */
function tierSeconds(
  { ranSeconds, translator }: MachineStatistics,
  regions: number,
): { interpreter: number; regions: number; translation: number } {
  const translation = (translator?.milliseconds ?? 0) / 1000;
  return { interpreter: Math.max(0, ranSeconds - regions - translation), regions, translation };
}

function statusOf(end: MachineEnd): number {
  switch (end.reason) {
    case "debug-exit":
      return end.status;
    case "triple-fault":
      return ExitStatus.TripleFault;
    case "failure":
      return ExitStatus.Failed;
    default:
      return ExitStatus.PowerOff;
  }
}

function chooseEngine({ engine, tier }: RunArguments): Engine {
  if (engine !== "kvm") return createEmulatorEngine({ tier });
  throw hypervisorError("QZ_HYPERVISOR_UNSUPPORTED", {
    what: "the engine kvm",
    instead: "give --engine emulator or auto",
  });
}

/** The virtio console of a run, where it has one. */
async function virtioConsole(where: Terminal, host: RunHost) {
  const stream = await terminalStream("the console's file", where, host.stdout);
  if (stream === undefined) return undefined;
  let device: ConsoleDevice | undefined;
  let drained: (() => void) | undefined;
  const output = new OutputBuffer(stream, () => device?.ports[0]?.resume());
  const { columns, rows } = where === "stdio" ? (process.stdout as Partial<TerminalSize>) : {};
  return {
    stream,
    output,
    device: terminal({
      output: (bytes) => output.write(bytes),
      size: columns && rows ? { columns, rows } : undefined,
      onDrain: () => drained?.(),
      connected: (made) => void (device = made),
    }),
    /** Resolves when the guest, or its console, has taken the bytes. */
    async send(bytes: Uint8Array): Promise<void> {
      for (let rest = bytes; ;) {
        rest = rest.subarray(device?.ports[0]?.write(rest) ?? rest.length);
        if (rest.length === 0) return;
        await new Promise<void>((resolve) => (drained = resolve));
      }
    },
  };
}

/** Where a terminal's output goes, opened; undefined for nowhere. */
async function terminalStream(
  what: string,
  where: Terminal,
  stdout: Writable,
): Promise<Writable | undefined> {
  if (where === "none") return undefined;
  if (where === "stdio") return stdout;
  const stream = createWriteStream(where.file);
  await new Promise<void>((resolve, reject) => {
    stream.once("open", () => resolve());
    stream.once("error", (cause) => reject(unwritable(what, where.file, cause)));
  });
  return stream;
}

/** Opened before the run, so that a path that does not do is found at once. */
async function openStatistics(path: string): Promise<FileHandle> {
  try {
    return await open(path, "w");
  } catch (cause) {
    throw unwritable("the statistics file", path, cause);
  }
}

function unwritable(what: string, path: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return hypervisorError("QZ_HYPERVISOR_OPTIONS", {
    option: what,
    value: path,
    expected: `it cannot be written (${reason})`,
  });
}

function secondsOf({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}
