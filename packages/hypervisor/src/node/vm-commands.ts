import { once } from "node:events";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import type { ParseArgsOptionsConfig } from "node:util";
import type { AgentCommand } from "../agent/command.ts";
import { hypervisorError } from "../errors.ts";
import { MAX_CPUS, MAX_MEMORY_MIB } from "../machine-options.ts";
import { impossible, parseDisk, parseNetwork } from "./device-arguments.ts";
import { ExitStatus } from "./run-host.ts";
import type { RunHost } from "./run-host.ts";
import { connectInput } from "./terminal.ts";
import type { VmLimits } from "./vm/vm-config.ts";
import type { VmDisk, VmNetwork, VmOptions } from "./vm/vm-options.ts";
import type { Vm } from "./vm/vm.ts";

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** `run` needs none of this, and starts earlier without it. */
const vmModule = (): Promise<{ readonly Vm: typeof Vm }> => import("./vm/vm.ts");

/** A command of `queztl-vm` that works on VMs with processes of their own. */
interface VmCommand {
  /** What follows the command's name. */
  readonly arguments: string;
  readonly summary: string;
  readonly options?: ParseArgsOptionsConfig;
  /** What the options mean, for help: flag and text. */
  readonly help?: readonly (readonly [string, string])[];
  /** How many arguments it takes. */
  readonly takes: readonly [least: number, most: number];
  run(args: readonly string[], values: Values, host: RunHost): Promise<number | void>;
}

const LEAVE_HELP =
  "\r\nCtrl-A x   leave; the VM goes on\r\nCtrl-A a   send Ctrl-A to the guest\r\n";

/** A command that only calls a method. */
function simple(summary: string, run: (vm: Vm) => Promise<unknown>): VmCommand {
  return {
    arguments: "ID",
    summary,
    takes: [1, 1],
    run: async ([id = ""]) => void (await withVm(id, run)),
  };
}

/** All of them, by name. */
export const VM_COMMANDS: Readonly<Record<string, VmCommand>> = {
  create: {
    arguments: "[options]",
    summary: "make a VM in a process of its own, start it and print its id",
    takes: [0, 0],
    options: {
      image: { type: "string" },
      kernel: { type: "string" },
      initrd: { type: "string" },
      id: { type: "string" },
      memory: { type: "string" },
      cpus: { type: "string" },
      append: { type: "string" },
      disk: { type: "string", multiple: true },
      net: { type: "string" },
      label: { type: "string", multiple: true },
      "no-template": { type: "boolean" },
      "cpu-share": { type: "string" },
      "disk-limit": { type: "string" },
      "net-rate": { type: "string" },
      lifetime: { type: "string" },
      idle: { type: "string" },
    },
    help: [
      ["--image NAME", "base (the default), debian, python, or one that was imported"],
      ["--kernel FILE", "instead of an image; --initrd FILE goes with it"],
      ["--id ID", "its name, also in the guest; default a new one"],
      ["--memory MIB, --cpus N", "default 512 and 1"],
      ["--append STRING", "behind what the image has on the kernel's command line"],
      ["--disk FILE[,readonly]", "a further raw disk; what is written stays in the VM's folder"],
      ["--net user[,option]...", "a network card, as of run; default none"],
      ["--label NAME=VALUE", "kept with it; as often as needed"],
      ["--no-template", "boot, rather than go on from a snapshot of a boot"],
      ["--cpu-share N", "host processors it may keep busy, such as 0.5"],
      ["--disk-limit MIB", "what its disks may hold beyond their images"],
      ["--net-rate KIB", "KiB a second in each direction"],
      ["--lifetime SECONDS", "stop it that long after it was made"],
      ["--idle SECONDS", "stop it when it was not used for so long"],
    ],
    async run(_, values, host) {
      const { Vm } = await vmModule();
      const vm = await Vm.create(createOptions(values));
      await vm.close();
      host.stdout.write(`${vm.id}\n`);
    },
  },
  list: {
    arguments: "[--json]",
    summary: "show all VMs",
    takes: [0, 0],
    options: { json: { type: "boolean" } },
    async run(_, { json }, host) {
      const { Vm } = await vmModule();
      const all = await Vm.list();
      if (json) return void host.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
      const rows = all.map(({ id, state, end, image, memoryMib, cpus, pid, createdAt }) => [
        id,
        end && end.reason !== state ? `${state} (${end.reason})` : state,
        image ?? "-",
        `${memoryMib} MiB`,
        String(cpus),
        String(pid ?? "-"),
        createdAt.slice(0, 19).replace("T", " "),
      ]);
      host.stdout.write(
        table([["ID", "STATE", "IMAGE", "MEMORY", "CPUS", "PID", "CREATED"], ...rows]),
      );
    },
  },
  exec: {
    arguments: "[options] ID -- COMMAND [ARGUMENT]...",
    summary: "run a command in the guest; its exit status is this one's",
    takes: [2, Infinity],
    options: {
      env: { type: "string", multiple: true },
      cwd: { type: "string" },
      user: { type: "string" },
      timeout: { type: "string" },
      tty: { type: "boolean", short: "t" },
    },
    help: [
      ["--env NAME=VALUE", "as often as needed"],
      ["--cwd PATH, --user NAME", "default / and root"],
      ["--timeout SECONDS", "kill it after that time: exit status 124"],
      ["-t, --tty", "give it a terminal"],
    ],
    run: async ([id = "", ...argv], values, host) =>
      await withVm(id, (vm) => exec(vm, argv, values, host)),
  },
  console: {
    arguments: "ID",
    summary: "show the guest's console and type into it; Ctrl-A x leaves",
    takes: [1, 1],
    run: async ([id = ""], _, host) => await withVm(id, (vm) => showConsole(vm, host)),
  },
  "copy-in": {
    arguments: "ID PATH GUEST-FOLDER",
    summary: "copy a file, or what is in a folder, into the guest",
    takes: [3, 3],
    run: async ([id = "", from = "", to = ""]) =>
      void (await withVm(id, (vm) => vm.copyIn(from, to))),
  },
  "copy-out": {
    arguments: "ID GUEST-PATH FOLDER",
    summary: "copy a file, or what is in a folder, out of the guest",
    takes: [3, 3],
    run: async ([id = "", from = "", to = ""], _, host) => {
      const { skipped } = await withVm(id, (vm) => vm.copyOut(from, to));
      for (const { path, reason } of skipped) host.stderr.write(`${path}: ${reason}\n`);
      return skipped.length > 0 ? ExitStatus.Failed : 0;
    },
  },
  status: {
    arguments: "ID",
    summary: "print what its monitor says of it, as JSON",
    takes: [1, 1],
    run: async ([id = ""], _, host) =>
      await withVm(id, async (vm) => {
        const summary = await vm.inspect();
        const live = summary.end ? {} : { ...(await vm.status()), stats: await vm.stats() };
        host.stdout.write(`${JSON.stringify({ ...summary, ...live }, undefined, 2)}\n`);
      }),
  },
  pause: simple("have it stand still", (vm) => vm.pause()),
  resume: simple("have it go on", (vm) => vm.resume()),
  reset: simple("press its reset button", (vm) => vm.reset()),
  start: simple("boot one that has stopped or crashed", (vm) => vm.start()),
  stop: {
    arguments: "[--grace SECONDS] ID",
    summary: "press its power button, then pull the plug",
    takes: [1, 1],
    options: { grace: { type: "string" } },
    help: [["--grace SECONDS", "how long the guest may take; default 15"]],
    async run([id = ""], { grace }, host) {
      const graceMs = seconds("--grace", grace, 0);
      const options = graceMs === undefined ? {} : { graceMs: graceMs * 1000 };
      const { reason } = await withVm(id, (vm) => vm.stop(options));
      host.stdout.write(`${reason}\n`);
    },
  },
  snapshot: {
    arguments: "ID NAME",
    summary: "save memory and disks under a name",
    takes: [2, 2],
    run: async ([id = "", name = ""]) => await withVm(id, (vm) => vm.snapshot(name)),
  },
  restore: {
    arguments: "ID NAME",
    summary: "put it back to a snapshot",
    takes: [2, 2],
    run: async ([id = "", name = ""]) => await withVm(id, (vm) => vm.restore(name)),
  },
  fork: {
    arguments: "[--id ID] ID",
    summary: "make another VM of a running one and print its id",
    takes: [1, 1],
    options: { id: { type: "string" } },
    async run([id = ""], { id: name }, host) {
      const fork = await withVm(id, (vm) => vm.fork(typeof name === "string" ? { id: name } : {}));
      await fork.close();
      host.stdout.write(`${fork.id}\n`);
    },
  },
  destroy: {
    arguments: "ID...",
    summary: "end VMs at once and remove all that is left of them",
    takes: [1, Infinity],
    async run(ids) {
      const { Vm } = await vmModule();
      for (const id of ids) await Vm.destroy(id);
    },
  },
};

/** Runs a command with what follows its name. @returns the exit status. @throws QZ_HYPERVISOR_USAGE and coded errors */
export async function runVmCommand(
  name: string,
  args: readonly string[],
  host: RunHost,
): Promise<number> {
  const command = VM_COMMANDS[name] as VmCommand;
  let parsed: { readonly values: Values; readonly positionals: string[] };
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...command.options, help: { type: "boolean", short: "h" } },
    });
  } catch (cause) {
    const [problem = ""] = (cause instanceof Error ? cause.message : String(cause)).split(/\.\s/);
    throw usage(problem, name);
  }
  const { values, positionals } = parsed;
  if (values["help"]) {
    host.stdout.write(vmCommandHelp(name));
    return 0;
  }
  const [least, most] = command.takes;
  if (positionals.length < least || positionals.length > most)
    throw usage(`it takes ${command.arguments}`, name);
  return (await command.run(positionals, values, host)) ?? 0;
}

/** A command's help. */
export function vmCommandHelp(name: string): string {
  const { arguments: takes, summary, help = [] } = VM_COMMANDS[name] as VmCommand;
  const lines = help.map(([flag, text]) => `  ${flag.padEnd(24)} ${text}\n`).join("");
  const sentence = `${(summary[0] ?? "").toUpperCase()}${summary.slice(1)}.`;
  return `${sentence}\n\nUsage: queztl-vm ${name} ${takes}\n${lines && `\n${lines}`}`;
}

/** A line for each command, for the general help. */
export function vmCommandsHelp(): string {
  return Object.entries(VM_COMMANDS)
    .map(([name, { summary }]) => `  queztl-vm ${name.padEnd(28)} ${summary}\n`)
    .join("");
}

async function withVm<Result>(id: string, work: (vm: Vm) => Promise<Result>): Promise<Result> {
  const { Vm } = await vmModule();
  const vm = await Vm.open(id);
  try {
    return await work(vm);
  } finally {
    await vm.close();
  }
}

function createOptions(values: Values): VmOptions {
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  const list = (name: string): string[] =>
    [values[name] ?? []].flat().filter((value) => typeof value === "string");
  const whole = (name: string, most: number): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    const number = /^\d{1,9}$/.test(value) ? Number(value) : 0;
    if (number >= 1 && number <= most) return number;
    throw impossible(`--${name}`, value, `give a whole number from 1 to ${most}`);
  };
  const limits: VmLimits = {
    cpuShare: seconds("--cpu-share", text("cpu-share")),
    diskBytes: scaled(whole("disk-limit", 2 ** 30), 2 ** 20),
    networkBytesPerSecond: scaled(whole("net-rate", 2 ** 30), 2 ** 10),
    lifetimeSeconds: seconds("--lifetime", text("lifetime")),
    idleSeconds: seconds("--idle", text("idle")),
  };
  const options: { -readonly [Key in keyof VmOptions]?: VmOptions[Key] | undefined } = {
    image: text("image"),
    kernel: kernelOf(text("kernel"), text("initrd")),
    id: text("id"),
    memoryMib: whole("memory", MAX_MEMORY_MIB),
    cpus: whole("cpus", MAX_CPUS),
    append: text("append"),
    disks: list("disk").map(diskOf),
    network: networkOf(text("net") ?? "none"),
    labels: Object.fromEntries(list("label").map((label) => keyed("--label", label))),
    limits: defined(limits),
    template: values["no-template"] === true ? false : undefined,
  };
  return defined(options) as VmOptions;
}

/** Without what is undefined. */
function defined<Value extends object>(value: Value): Value {
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries) as Value;
}

function scaled(number: number | undefined, unit: number): number | undefined {
  return number === undefined ? undefined : number * unit;
}

function seconds(option: string, value: Values[string], least?: 0): number | undefined {
  if (typeof value !== "string") return undefined;
  const number = /^\d{1,9}(\.\d{1,9})?$/.test(value) ? Number(value) : Number.NaN;
  if (number > 0 || number === least) return number;
  throw impossible(option, value, "give a number above 0");
}

function keyed(option: string, text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw impossible(option, text, "give NAME=VALUE");
}

function kernelOf(path: string | undefined, initramfs: string | undefined): VmOptions["kernel"] {
  if (path === undefined && initramfs !== undefined)
    throw impossible("--initrd", initramfs, "give the kernel too, with --kernel");
  return path === undefined ? undefined : { path, ...(initramfs !== undefined && { initramfs }) };
}

function diskOf(text: string): VmDisk {
  const { path, readOnly, format, overlay } = parseDisk(text);
  if (format !== undefined || overlay !== undefined)
    throw impossible("--disk", text, "give FILE[,readonly]: the VM's folder has its overlay");
  return { path, mode: readOnly ? "read-only" : "overlay" };
}

function networkOf(text: string): VmNetwork | undefined {
  const network = parseNetwork(text);
  if (network === undefined) return undefined;
  if (network.mac !== undefined) throw impossible("--net", text, "every VM gets its own address");
  return network;
}

async function exec(
  vm: Vm,
  argv: readonly string[],
  values: Values,
  host: RunHost,
): Promise<number> {
  const { cwd, user } = values;
  const timeout = seconds("--timeout", values["timeout"]);
  const env = [values["env"] ?? []].flat().map((pair) => keyed("--env", String(pair)));
  const terminal = values["tty"] === true && host.stdin.isTTY;
  const size = (): { columns: number; rows: number } => ({
    columns: process.stdout.columns || 80,
    rows: process.stdout.rows || 24,
  });
  const command = await vm.spawn(argv, {
    env: Object.fromEntries(env),
    ...(typeof cwd === "string" && { cwd }),
    ...(typeof user === "string" && { user }),
    ...(timeout !== undefined && { timeoutMs: timeout * 1000 }),
    ...(values["tty"] === true && { tty: size() }),
  });
  const stopSignals = host.onSignal((signal) => command.signal(signal));
  const resized = (): void => command.resize(size());
  if (terminal) process.stdout.on("resize", resized);
  const stopInput = terminal ? connectTerminal(command, host) : feed(command, host.stdin);
  try {
    const [, , result] = await Promise.all([
      drain(command.stdout, host.stdout),
      drain(command.stderr, host.stderr),
      command.done,
    ]);
    return result.timedOut ? ExitStatus.Timeout : result.status;
  } finally {
    stopInput();
    stopSignals();
    process.stdout.off("resize", resized);
  }
}

function connectTerminal(command: AgentCommand, host: RunHost): () => void {
  const writer = command.stdin.getWriter();
  return connectInput(host.stdin, {
    send: (bytes) => writer.write(bytes),
    leave: () => command.kill(),
    help: () => host.stdout.write(LEAVE_HELP),
  });
}

/** Leads a pipe or file to a command, to its end. */
function feed(command: AgentCommand, input: NodeJS.ReadStream): () => void {
  const writer = command.stdin.getWriter();
  const onData = (chunk: Buffer): void => {
    input.pause();
    const go = (): unknown => input.resume();
    writer.write(chunk).then(go, go);
  };
  const onEnd = (): void => void writer.close().catch(() => undefined);
  input.on("data", onData).once("end", onEnd);
  return () => {
    input.off("data", onData).off("end", onEnd).pause();
  };
}

async function drain(from: ReadableStream<Uint8Array>, to: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of from) if (!to.write(chunk)) await once(to, "drain");
}

async function showConsole(vm: Vm, host: RunHost): Promise<number> {
  await using console = await vm.console();
  const writer = console.input.getWriter();
  const size = (): void => {
    const { columns, rows } = process.stdout;
    if (columns > 0 && rows > 0) vm.resizeConsole({ columns, rows }).catch(() => undefined);
  };
  if (host.stdin.isTTY) {
    size();
    process.stdout.on("resize", size);
  }
  const stopInput = connectInput(host.stdin, {
    send: (bytes) => writer.write(bytes).catch(() => undefined),
    leave: () => console.close(),
    help: () => host.stdout.write(LEAVE_HELP),
  });
  try {
    await drain(console.output, host.stdout);
  } catch {
    // It was closed here.
  } finally {
    stopInput();
    process.stdout.off("resize", size);
  }
  host.stdout.write("\r\n");
  return 0;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function usage(problem: string, command: string): Error {
  return hypervisorError("QZ_HYPERVISOR_USAGE", { problem: `${basename(command)}: ${problem}` });
}
