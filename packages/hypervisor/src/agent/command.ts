import { hypervisorError } from "../errors.ts";
import { deferred } from "./deferred.ts";
import type { Connection } from "./connection.ts";
import { cancelled } from "./deadline.ts";
import { Inbound, Outbound } from "./flow.ts";
import { FrameType, MAX_PAYLOAD, Stream } from "./frame.ts";
import type { Frame } from "./frame.ts";
import { broken, encodeFields } from "./records.ts";
import type { Field, Fields } from "./records.ts";
import { signalName, signalNumber } from "./signals.ts";
import type { SignalName } from "./signals.ts";
import { parseUsage } from "./usage.ts";
import type { ResourceUsage } from "./usage.ts";

/** A terminal's size, in characters. */
export interface CommandTerminal {
  readonly columns: number;
  readonly rows: number;
}

/** How a command runs. */
export interface ExecOptions {
  /** Variables beside PATH, HOME, USER and LOGNAME, which may be replaced. */
  readonly env?: Readonly<Record<string, string>>;
  /** The working directory; default "/". */
  readonly cwd?: string;
  /** "name", "uid", "name:group" or "uid:gid"; default the agent's own, root. */
  readonly user?: string;
  /** Gives it a terminal: its output, also stderr's, comes on `stdout`. */
  readonly tty?: CommandTerminal;
  /** After so many milliseconds it is killed with all its processes. */
  readonly timeoutMs?: number;
  /** "none" gives it an empty input; default "pipe". */
  readonly stdin?: "pipe" | "none";
  readonly stdout?: "pipe" | "discard";
  /** "stdout" has it in the same stream. */
  readonly stderr?: "pipe" | "discard" | "stdout";
  /** What becomes of processes that it left running when it ends; default "keep". */
  readonly orphans?: "keep" | "kill";
  /** Has it outlive this session, also in a snapshot, for `attach` by this name. */
  readonly persist?: string;
  /** Kills it with all its processes. */
  readonly signal?: AbortSignal;
}

/** How a command ended. */
export interface ExecResult {
  readonly pid: number;
  /** Its exit status; 128 + the signal's number where it was killed, as in a shell. */
  readonly status: number;
  /** The signal that killed it. */
  readonly signal: ReturnType<typeof signalName> | undefined;
  /** Whether that was because of `timeoutMs`. */
  readonly timedOut: boolean;
  readonly usage: ResourceUsage;
}

/** A command that runs in the guest. Disposing of it kills it. */
export interface AgentCommand extends AsyncDisposable {
  /** What is written after the command closed its input is thrown away. */
  readonly stdin: WritableStream<Uint8Array>;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** How it ended, once its output was read. */
  readonly done: Promise<ExecResult>;
  /** Sends a signal to the command's process group. @throws QZ_HYPERVISOR_OPTIONS */
  signal(name: SignalName): void;
  /** Tells a command with a terminal that its size changed. */
  resize(size: CommandTerminal): void;
  /** Kills it with all its processes. */
  kill(): void;
}

/** How long the host waits beyond a command's own time-out for the agent to say that it is over. */
const GRACE_MS = 30_000;

/** @throws QZ_HYPERVISOR_OPTIONS */
export function startCommand(
  connection: Connection,
  what: readonly string[] | { readonly attach: string },
  options: ExecOptions,
): AgentCommand {
  return new Command(connection, requestOf(what, options), options);
}

class Command implements AgentCommand {
  readonly stdin: WritableStream<Uint8Array>;
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  readonly #connection: Connection;
  readonly #done = deferred<ExecResult>();
  readonly #begun = deferred<number>();
  readonly #input = new Outbound();
  readonly #output: Inbound<Uint8Array>;
  readonly #errors: Inbound<Uint8Array>;
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = (): void => {
    this.kill();
    this.#fail(cancelled(this.#name, this.#signal));
  };
  #guard: ReturnType<typeof setTimeout> | undefined;

  constructor(connection: Connection, request: CommandRequest, options: ExecOptions) {
    this.#connection = connection;
    this.#name = request.name;
    this.#signal = options.signal;
    this.#output = this.#inbound(Stream.Stdout);
    this.#errors = this.#inbound(Stream.Stderr);
    this.stdout = streamOf(this.#output);
    this.stderr = streamOf(this.#errors);
    this.stdin = new WritableStream({
      write: (chunk) => this.#write(chunk),
      close: () => this.#end(),
      abort: () => this.#end(),
    });
    void this.#begin(request, options);
  }

  get done(): Promise<ExecResult> {
    return this.#done.promise;
  }

  signal(name: SignalName): void {
    const number = signalNumber(name);
    if (number === undefined) throw badOption("signal", name, "give a name such as SIGTERM");
    this.#control([["signal", String(number)]]);
  }

  resize(size: CommandTerminal): void {
    this.#control([["resize", terminalSize(size)]]);
  }

  kill(): void {
    this.#control([["kill", "1"]]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    this.#output.discard();
    this.#errors.discard();
    await this.done.catch(() => undefined);
  }

  async #begin(request: CommandRequest, options: ExecOptions): Promise<void> {
    try {
      this.#signal?.addEventListener("abort", this.#abort);
      if (this.#signal?.aborted) throw cancelled(this.#name, this.#signal);
      await this.#connection.ready();
      if (this.#signal?.aborted) return;
      const id = this.#connection.begin(request.fields, {
        what: this.#name,
        onFrame: (frame) => this.#take(frame),
        onReply: (reply) => this.#finish(reply),
        onError: (error) => this.#fail(error),
      });
      this.#begun.resolve(id);
      const { timeoutMs } = options;
      if (timeoutMs === undefined) return;
      const late = hypervisorError("QZ_HYPERVISOR_AGENT_TIMEOUT", {
        what: this.#name,
        ms: timeoutMs + GRACE_MS,
      });
      this.#guard = setTimeout(() => this.#fail(late), timeoutMs + GRACE_MS);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #inbound(stream: number): Inbound<Uint8Array> {
    return new Inbound((bytes) => {
      void this.#begun.promise.then((id) => this.#connection.grant(id, stream, bytes));
    });
  }

  #take(frame: Frame): void {
    if (frame.type === FrameType.Credit) {
      if (frame.payload.length !== 4) throw broken("a credit that is no number");
      const { buffer, byteOffset } = frame.payload;
      return this.#input.grant(new DataView(buffer, byteOffset).getUint32(0));
    }
    const inbound = { [Stream.Stdout]: this.#output, [Stream.Stderr]: this.#errors }[frame.stream];
    if (!inbound || frame.type === FrameType.Entry)
      throw broken("data of a stream that is not there");
    if (frame.type === FrameType.End) inbound.end();
    else inbound.push(frame.payload, frame.payload.length);
  }

  #finish(reply: Fields): void {
    const reason = reply.text("error");
    if (reason !== undefined) {
      const details = { command: this.#name, reason };
      return this.#fail(hypervisorError("QZ_HYPERVISOR_AGENT_COMMAND", details));
    }
    const number = reply.count("signal");
    const result: ExecResult = {
      pid: reply.needed("pid"),
      status: number === undefined ? reply.needed("exit") : 128 + number,
      signal: number === undefined ? undefined : signalName(number),
      timedOut: reply.has("timed-out"),
      usage: parseUsage(reply),
    };
    this.#over();
    this.#output.end();
    this.#errors.end();
    this.#done.resolve(result);
  }

  #fail(error: Error): void {
    this.#over();
    this.#begun.reject(error);
    this.#done.reject(error);
    // Also discards: the agent may still send, and must come to its end.
    for (const inbound of [this.#output, this.#errors]) inbound.abandon(error);
  }

  #over(): void {
    clearTimeout(this.#guard);
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#input.close();
  }

  #control(fields: readonly Field[]): void {
    const send = async () => {
      const id = await this.#begun.promise;
      await this.#connection.send(FrameType.Control, id, 0, encodeFields(fields));
    };
    send().catch(() => undefined);
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!(chunk instanceof Uint8Array)) throw badOption("input", typeof chunk, "write Uint8Arrays");
    const id = await this.#begun.promise;
    for (let at = 0; at < chunk.length;) {
      const taken = await this.#input.take(Math.min(MAX_PAYLOAD, chunk.length - at));
      if (taken === undefined) return;
      await this.#connection.send(FrameType.Data, id, Stream.Stdin, chunk.subarray(at, at + taken));
      at += taken;
    }
  }

  async #end(): Promise<void> {
    const id = await this.#begun.promise.catch(() => undefined);
    if (id === undefined) return;
    await this.#connection.send(FrameType.End, id, Stream.Stdin, new Uint8Array(0));
  }
}

function streamOf(inbound: Inbound<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const chunk = await inbound.read();
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
      cancel: () => inbound.discard(),
    },
    // Nothing is taken, and so no credit given, before somebody reads.
    { highWaterMark: 0 },
  );
}

interface CommandRequest {
  /** What it is called in errors. */
  readonly name: string;
  readonly fields: readonly Field[];
}

function requestOf(
  what: readonly string[] | { readonly attach: string },
  options: ExecOptions,
): CommandRequest {
  if ("attach" in what) {
    const name = text("name", what.attach);
    return {
      name,
      fields: [
        ["op", "attach"],
        ["name", name],
      ],
    };
  }
  const [name] = what;
  if (!name) throw badOption("argv", String(name), "name the program");
  const fields: Field[] = [["op", "exec"]];
  for (const argument of what) fields.push(["arg", text("argv", argument)]);
  for (const [key, value] of Object.entries(options.env ?? {})) {
    if (key === "" || key.includes("=")) throw badOption("env", key, "a name has no =");
    fields.push(["env", text("env", `${key}=${value}`)]);
  }
  const { timeoutMs, tty } = options;
  if (timeoutMs !== undefined) {
    const sound = timeoutMs > 0 && timeoutMs <= 0x7fffffff - GRACE_MS;
    if (!sound) throw badOption("timeoutMs", timeoutMs, "give milliseconds, up to 24 days");
    fields.push(["timeout", String(Math.ceil(timeoutMs))]);
  }
  if (tty) fields.push(["tty", terminalSize(tty)]);
  for (const key of ["cwd", "user", "stdin", "stdout", "stderr", "orphans", "persist"] as const) {
    const value = options[key];
    if (value !== undefined) fields.push([key, text(key, value)]);
  }
  return { name: text("argv", name), fields };
}

function terminalSize({ columns, rows }: CommandTerminal): string {
  const sound = [columns, rows].every(
    (size) => Number.isInteger(size) && size > 0 && size < 10_000,
  );
  if (!sound) throw badOption("tty", `${columns}x${rows}`, "give columns and rows, 1 to 9999");
  return `${columns}x${rows}`;
}

/** Linux ends a string at its first NUL. */
function text(option: string, value: string): string {
  if (value.includes("\0")) throw badOption(option, value, "it cannot hold a NUL character");
  return value;
}

function badOption(option: string, value: string | number, expected: string): Error {
  return hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value, expected });
}
