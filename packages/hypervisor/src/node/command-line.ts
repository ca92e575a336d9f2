import { parseArgs } from "node:util";
import { hypervisorError } from "../errors.ts";
import { MAX_CPUS, MAX_MEMORY_MIB } from "../machine-options.ts";

/** A disk of `--disk FILE[,format=raw][,readonly]`. */
export interface DiskArgument {
  readonly path: string;
  readonly readOnly: boolean;
}

/** A network of `--net user[,hostfwd=tcp:PORT:PORT]…`. */
export interface NetworkArgument {
  readonly forwards: readonly { readonly hostPort: number; readonly guestPort: number }[];
  /** The card's address; default 52:54:00:12:34:56. */
  readonly mac?: string;
}

/** What `queztl-vm run` was told. */
export interface RunArguments {
  readonly kernel: string;
  readonly initrds: readonly string[];
  readonly append: string | undefined;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly disks: readonly DiskArgument[];
  readonly network: NetworkArgument | undefined;
  /** Where the serial port leads: the terminal, nowhere, or a file. */
  readonly serial: "stdio" | "none" | { readonly file: string };
  readonly debugExit: boolean;
  readonly engine: "emulator" | "kvm" | "auto";
  readonly seed: number | undefined;
  readonly timeoutSeconds: number | undefined;
  readonly statsFile: string | undefined;
}

/** What a command line asks for. */
export type CommandLine =
  | { readonly command: "help"; readonly of: "queztl-vm" | "run" }
  | { readonly command: "version" }
  | { readonly command: "run"; readonly run: RunArguments };

const MOST_SECONDS = 10_000_000;

/** Reads the arguments behind the program's name. @throws QZ_HYPERVISOR_USAGE, QZ_HYPERVISOR_OPTIONS */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const [command, ...rest] = args;
  if (command === "run") return parseRun(rest);
  if (command === "help") return { command: "help", of: rest[0] === "run" ? "run" : "queztl-vm" };
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
  const { kernel, engine = "auto", serial = "stdio" } = values;
  if (kernel === undefined) throw usage("--kernel FILE is missing");
  if (engine !== "auto" && engine !== "emulator" && engine !== "kvm")
    throw impossible("--engine", engine, "give emulator, kvm or auto");
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
      network: parseNetwork(values.net ?? "none"),
      serial: serial === "stdio" || serial === "none" ? serial : { file: serial },
      debugExit: values["debug-exit"] ?? false,
      engine,
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
        net: { type: "string" },
        serial: { type: "string" },
        "debug-exit": { type: "boolean" },
        engine: { type: "string" },
        seed: { type: "string" },
        timeout: { type: "string" },
        stats: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (cause) {
    // Node's message names the option; its second sentence is about `--`.
    const [problem = ""] = (cause instanceof Error ? cause.message : String(cause)).split(". ");
    throw usage(problem);
  }
}

function parseDisk(text: string): DiskArgument {
  const [path = "", ...options] = text.split(",");
  if (path === "") throw impossible("--disk", text, "give FILE[,format=raw][,readonly]");
  for (const option of options) {
    if (option === "readonly" || option === "format=raw") continue;
    throw impossible("--disk", text, "behind FILE there may be format=raw and readonly");
  }
  return { path, readOnly: options.includes("readonly") };
}

function parseNetwork(text: string): NetworkArgument | undefined {
  const [kind, ...options] = text.split(",");
  const expected = "give none, or user[,hostfwd=tcp:HOSTPORT:GUESTPORT]…";
  if (kind === "none" && options.length === 0) return undefined;
  if (kind !== "user") throw impossible("--net", text, expected);
  const forwards = options.map((option) => {
    const [, host, guest] = /^hostfwd=tcp:(\d{1,5}):(\d{1,5})$/.exec(option) ?? [];
    if (host === undefined || guest === undefined) throw impossible("--net", text, expected);
    return {
      hostPort: wholeNumber("a host port", host, 1, 65535),
      guestPort: wholeNumber("a guest port", guest, 1, 65535),
    };
  });
  return { forwards };
}

function wholeNumber(option: string, value: string, least: number, most: number): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw impossible(option, value, `give a whole number from ${least} to ${most}`);
}

function impossible(option: string, value: string, expected: string): Error {
  return hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value, expected });
}

function usage(problem: string): Error {
  return hypervisorError("QZ_HYPERVISOR_USAGE", { problem });
}
