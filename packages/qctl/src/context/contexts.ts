import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { qctlErrors } from "../errors.ts";

/** A server and how to be let in. */
export interface Context {
  readonly server: string;
  readonly token?: string;
}

/** The file of contexts. */
export interface Contexts {
  /** The context that is used where none is given. */
  readonly current?: string;
  readonly contexts: Readonly<Record<string, Context>>;
}

/** Where everything of Queztl lies: QUEZTL_HOME, or `~/.queztl`. */
export const queztlHome = (environment: NodeJS.ProcessEnv): string =>
  environment["QUEZTL_HOME"] || join(homedir(), ".queztl");

/** The file of contexts. */
export const contextsPath = (environment: NodeJS.ProcessEnv): string =>
  join(queztlHome(environment), "contexts.json");

/** The names that a context can have. */
export const CONTEXT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/;

/** Reads the contexts; none where there is no file yet. Throws `QZ_QCTL_CONTEXTS_INVALID`. */
export function readContexts(path: string): Contexts {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return { contexts: {} };
    throw unreadable(path, cause);
  }
  try {
    return checked(JSON.parse(text));
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw qctlErrors("QZ_QCTL_CONTEXTS_INVALID", { path, problem }, { cause });
  }
}

/** Writes the contexts whole or not at all, readable by their owner only. */
export function writeContexts(path: string, contexts: Contexts): void {
  const draft = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    // The mask of the process may have taken bits away, never the other way round; old drafts keep theirs.
    chmodSync(draft, 0o600);
    renameSync(draft, path);
  } catch (cause) {
    rmSync(draft, { force: true });
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw qctlErrors("QZ_QCTL_FILE_UNWRITABLE", { path, problem }, { cause });
  }
}

/** Whether others on this computer may read the file, and with it the tokens. */
export function isExposed(path: string): boolean {
  if (process.platform === "win32") return false;
  try {
    return (statSync(path).mode & 0o077) !== 0;
  } catch {
    return false;
  }
}

function checked(value: unknown): Contexts {
  if (!isRecord(value)) throw new Error("it is no object");
  const { current, contexts = {} } = value;
  if (current !== undefined && typeof current !== "string") throw new Error("`current` is no text");
  if (!isRecord(contexts)) throw new Error("`contexts` is no object");
  for (const [name, context] of Object.entries(contexts)) {
    if (!isRecord(context) || typeof context["server"] !== "string") {
      throw new Error(`the context ${name} has no server`);
    }
    if (context["token"] !== undefined && typeof context["token"] !== "string") {
      throw new Error(`the token of ${name} is no text`);
    }
  }
  return {
    ...(current === undefined ? {} : { current }),
    contexts: contexts as Record<string, Context>,
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isMissing = (failure: unknown): boolean =>
  failure instanceof Error && "code" in failure && failure.code === "ENOENT";

function unreadable(path: string, cause: unknown) {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return qctlErrors("QZ_QCTL_FILE_UNREADABLE", { path, problem }, { cause });
}
