import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { InputOf } from "@queztl/api";
import type { QueztlClient } from "@queztl/api/client";
import { qctlErrors } from "../errors.ts";
import { type Progress, sizeOf, uploadFile } from "../files/transfer.ts";
import { parseDuration } from "../session/quantities.ts";

type TaskFile = NonNullable<InputOf<"task.submit">["files"]>[number];

/** What fits into the submission itself; larger files are sent before it. */
const MOST_INLINE = 512 * 1024;

/** Parameters as JSON, from the command line or, after `@`, from a file; `@-` is standard input. */
export async function parseData(text: string): Promise<unknown> {
  const source = text.startsWith("@") ? await readSource(text.slice(1)) : text;
  try {
    const data: unknown = JSON.parse(source);
    // Writing it again, for the server, takes a stack frame a level.
    JSON.stringify(data);
    return data;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : "it is none";
    const expected = `JSON, or @FILE with JSON (${problem})`;
    throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field: "--data", expected }, { cause });
  }
}

/** A file to send: `PATH`, or `NAME=PATH` to give it another name for the task. */
export function parseFile(text: string): { readonly name: string; readonly path: string } {
  const at = text.indexOf("=");
  return at > 0
    ? { name: text.slice(0, at), path: text.slice(at + 1) }
    : { name: basename(text), path: text };
}

/** When a task must be done: a time, or a duration from now. */
export function parseDeadline(text: string, now: Date): string {
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const time = Date.parse(text);
    if (!Number.isNaN(time)) return new Date(time).toISOString();
  }
  return new Date(now.getTime() + parseDuration(text, "--deadline") * 1000).toISOString();
}

/** Files as the submission takes them: small ones whole, large ones sent before. */
export async function prepareFiles(
  client: QueztlClient,
  wanted: readonly string[],
  options: {
    readonly signal: AbortSignal;
    readonly onProgress: Progress;
    readonly onCreated: (id: string) => void;
  },
): Promise<TaskFile[]> {
  const files: TaskFile[] = [];
  let inline = 0;
  for (const { name, path } of wanted.map(parseFile)) {
    const bytes = await sizeOf(path);
    if (inline + bytes <= MOST_INLINE) {
      inline += bytes;
      files.push({ name, data: (await readFile(path)).toString("base64") });
    } else {
      const { id } = await uploadFile(client, { path, name, ...options });
      files.push({ name, file: id });
    }
  }
  return files;
}

async function readSource(path: string): Promise<string> {
  try {
    if (path !== "-") return await readFile(path, "utf8");
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
    return Buffer.concat(chunks).toString("utf8");
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw qctlErrors("QZ_QCTL_FILE_UNREADABLE", { path, problem }, { cause });
  }
}
