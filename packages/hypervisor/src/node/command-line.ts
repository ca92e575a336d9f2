import { parseArgs } from "node:util";
import { hypervisorError } from "../errors.ts";
import { MAX_CPUS, MAX_MEMORY_MIB } from "../machine-options.ts";
import { impossible, parseDisk, parseNetwork } from "./device-arguments.ts";
import type { DiskArgument, NetworkArgument, SwitchArgument } from "./device-arguments.ts";
import { VM_COMMANDS } from "./vm-commands.ts";

/** Where a terminal of the guest leads: here, nowhere, or into a file. */
export type Terminal = "stdio" | "none" | { readonly file: string };

/** What `queztl-vm run` was told. */
export interface RunArguments {
  readonly kernel: string;
  readonly initrds: readonly string[];
  readonly append: string | undefined;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly disks: readonly DiskArgument[];
  readonly networks: readonly (NetworkArgument | SwitchArgument)[];
  readonly serial: Terminal;
  /** Where a virtio console leads; "none" leaves it out. */
  readonly console: Terminal;
  readonly balloon: boolean;
  readonly debugExit: boolean;
  readonly engine: "emulator" | "kvm" | "auto";
  /** 0 has the emulator interpret everything. */
  readonly tier: 0 | "auto";
  readonly seed: number | undefined;
  readonly timeoutSeconds: number | undefined;
  readonly statsFile: string | undefined;
}

/** What a command line asks for. */
export type CommandLine =
  | { readonly command: "help"; readonly of: "queztl-vm" | "run" }
  | { readonly command: "version" }
  | { readonly command: "run"; readonly run: RunArguments }
  /** One of `VM_COMMANDS`, with what follows its name. */
  | { readonly command: "vm"; readonly name: string; readonly args: readonly string[] };

const MOST_SECONDS = 10_000_000;

/** Reads the arguments behind the program's name. @throws QZ_HYPERVISOR_USAGE, QZ_HYPERVISOR_OPTIONS */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const [command, ...rest] = args;
  if (command === "run") return parseRun(rest);
  if (command !== undefined && Object.hasOwn(VM_COMMANDS, command))
    return { command: "vm", name: command, args: rest };
  if (command === "help") {
    const [of = ""] = rest;
    if (Object.hasOwn(VM_COMMANDS, of)) return { command: "vm", name: of, args: ["--help"] };
    return { command: "help", of: of === "run" ? "run" : "queztl-vm" };
  }
  if (command === "--help" || command === "-h" || command === undefined)
    return { command: "help", of: "queztl-vm" };
  if (command === "--version") return { command: "version" };
  throw usage(`there is no command ${command}`);
}

function parseRun(args: string[]): CommandLine {
  const { values, positionals } = parse(args);
  if (values.help) return { command: "help", of: "run" };
  const [surplus] = positionals;
  if (surplus !== undefined) throw usage(`nothing is known to do with ${surplus}`);
  const { kernel, engine = "auto", tier = "auto" } = values;
  const console = parseTerminal(values.console ?? "none");
  // Both would take what is typed.
  const serial = parseTerminal(values.serial ?? (console === "stdio" ? "none" : "stdio"));
  if (serial === "stdio" && console === "stdio")
    throw impossible("--console", "stdio", "one of --serial and --console may be stdio");
  if (kernel === undefined) throw usage("--kernel FILE is missing");
  if (engine !== "auto" && engine !== "emulator" && engine !== "kvm")
    throw impossible("--engine", engine, "give emulator, kvm or auto");
  if (tier !== "auto" && tier !== "0") throw impossible("--tier", tier, "give 0 or auto");
  const whole = (option: string, value: string | undefined, least: number, most: number) =>
    value === undefined ? undefined : wholeNumber(option, value, least, most);
  return {
    command: "run",
    run: {
      kernel,
      initrds: values.initrd ?? [],
      append: values.append,
      memoryMib: whole("--memory", values.memory, 1, MAX_MEMORY_MIB) ?? 512,
      cpus: whole("--cpus", values.cpus, 1, MAX_CPUS) ?? 1,
      disks: (values.disk ?? []).map(parseDisk),
      networks: (values.net ?? []).map(parseNetwork).filter((each) => each !== undefined),
      serial,
      console,
      balloon: values.balloon ?? false,
      debugExit: values["debug-exit"] ?? false,
      engine,
      tier: tier === "0" ? 0 : "auto",
      seed: whole("--seed", values.seed, 0, 0xffffffff),
      timeoutSeconds: whole("--timeout", values.timeout, 1, MOST_SECONDS),
      statsFile: values.stats,
    },
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        kernel: { type: "string" },
        initrd: { type: "string", multiple: true },
        append: { type: "string" },
        memory: { type: "string" },
        cpus: { type: "string" },
        disk: { type: "string", multiple: true },
        net: { type: "string", multiple: true },
        serial: { type: "string" },
        console: { type: "string" },
        balloon: { type: "boolean" },
        "debug-exit": { type: "boolean" },
        engine: { type: "string" },
        tier: { type: "string" },
        seed: { type: "string" },
        timeout: { type: "string" },
        stats: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (cause) {
    // Node's message names the option; what follows the first sentence is about `--`.
    const [problem = ""] = (cause instanceof Error ? cause.message : String(cause)).split(/\.\s/);
    throw usage(problem.replace("argument is ambiguous", "needs a value that is no other option"));
  }
}

function parseTerminal(text: string): Terminal {
  return text === "stdio" || text === "none" ? text : { file: text };
}

function wholeNumber(option: string, value: string, least: number, most: number): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw impossible(option, value, `give a whole number from ${least} to ${most}`);
}

function usage(problem: string): Error {
  return hypervisorError("QZ_HYPERVISOR_USAGE", { problem });
}
