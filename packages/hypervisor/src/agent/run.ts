import { hypervisorError } from "../errors.ts";
import { startCommand } from "./command.ts";
import type { ExecOptions, ExecResult } from "./command.ts";
import type { Connection } from "./connection.ts";

/** How a command runs that is waited for. */
export interface RunOptions extends Omit<ExecOptions, "stdin" | "persist"> {
  /** What it reads; default nothing. */
  readonly input?: string | Uint8Array | ReadableStream<Uint8Array>;
  /** The most bytes it may write to stdout, and to stderr; default 16 MiB. Beyond, it is killed. */
  readonly maxOutputBytes?: number;
}

/** A command's end and all that it wrote. */
export interface RunResult extends ExecResult {
  /** As text; bytes that are no UTF-8 come as U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderrBytes: Uint8Array;
}

/** @throws QZ_HYPERVISOR_OPTIONS, QZ_HYPERVISOR_AGENT_COMMAND, QZ_HYPERVISOR_AGENT_LIMIT */
export async function runCommand(
  connection: Connection,
  what: readonly string[] | { readonly attach: string },
  options: RunOptions,
): Promise<RunResult> {
  const { input, maxOutputBytes = 16 * 1024 * 1024, ...rest } = options;
  const stdin = input === undefined ? "none" : "pipe";
  await using command = startCommand(connection, what, { ...rest, stdin });
  // A command need not read its input; whether it could be written does not matter.
  feed(command.stdin, input).catch(() => undefined);
  const name = "attach" in what ? what.attach : (what[0] ?? "");
  const [stdoutBytes, stderrBytes, result] = await Promise.all([
    collect(command.stdout, maxOutputBytes, name),
    collect(command.stderr, maxOutputBytes, name),
    command.done,
  ]);
  const decoder = new TextDecoder();
  return {
    ...result,
    stdout: decoder.decode(stdoutBytes),
    stderr: decoder.decode(stderrBytes),
    stdoutBytes,
    stderrBytes,
  };
}

async function feed(stdin: WritableStream<Uint8Array>, input: RunOptions["input"]): Promise<void> {
  if (input instanceof ReadableStream) return await input.pipeTo(stdin);
  const writer = stdin.getWriter();
  if (input !== undefined)
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
  await writer.close();
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  limit: number,
  command: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > limit)
      throw hypervisorError("QZ_HYPERVISOR_AGENT_LIMIT", {
        what: `the output of ${command}`,
        limit,
      });
    chunks.push(chunk);
  }
  return concatenate(chunks, length);
}

/** The chunks in one piece of that many bytes. */
export function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
