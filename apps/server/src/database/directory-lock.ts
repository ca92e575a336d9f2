import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { serverErrors } from "../errors.ts";

/** The sign that a folder is in use, until it is released or its process ends. */
export interface DirectoryLock {
  release(): Promise<void>;
}

interface Owner {
  readonly pid: number;
  /** When the process was started, as the kernel counts; a later process with the same id has another. */
  readonly started: string;
  readonly token: string;
}

const FILE = "server.lock";
const TRIES = 20;

/**
 * Takes a folder for this process. Two embedded databases in one folder would lose each other's rows, and
 * PGlite does not see to that itself. A lock of a process that is gone is taken over. Throws
 * `QZ_SERVER_HOME_IN_USE`.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, FILE);
  const mine: Owner = {
    pid: process.pid,
    started: await startOf(process.pid),
    token: randomUUID(),
  };
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    if (await create(path, JSON.stringify(mine))) return { release: () => release(path, mine) };
    const other = await ownerOf(path);
    if (other === undefined) continue;
    if (await isAlive(other)) {
      throw serverErrors("QZ_SERVER_HOME_IN_USE", { pid: other.pid, home: directory });
    }
    await removeStale(path, other);
  }
  throw serverErrors("QZ_SERVER_HOME_IN_USE", { pid: "unknown", home: directory });
}

async function create(path: string, text: string): Promise<boolean> {
  // Written beside and linked into place, so that nobody reads half of it.
  const beside = `${path}.${randomUUID()}`;
  const file = await open(beside, "wx", 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
  try {
    await link(beside, path);
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    throw cause;
  } finally {
    await rm(beside, { force: true });
  }
}

async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const { pid, started, token } = JSON.parse(await readFile(path, "utf8")) as Partial<Owner>;
    return { pid: Number(pid), started: String(started), token: String(token) };
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, started }: Owner): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false;
  }
  return (await startOf(pid)) === started;
}

/** Empty where the kernel does not tell: there a process id alone has to do. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  // The second field is the program's name in parentheses, which may hold anything.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

/** Moves the lock away and looks at what was moved: another process may have taken it over meanwhile. */
async function removeStale(path: string, stale: Owner): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await ownerOf(aside);
  if (moved !== undefined && moved.token !== stale.token)
    await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

async function release(path: string, mine: Owner): Promise<void> {
  if ((await ownerOf(path))?.token === mine.token) await rm(path, { force: true });
}
