import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inHome, isMissing } from "./cache.ts";

/** How often the holder of a lock says that it is alive, and after how long a silent one counts as dead. */
const HEARTBEAT_MS = 2000;
const STALE_MS = 20_000;
const POLL_MS = 100;

/**
 * Runs work while no other process does the same work: builders of one image wait for the first of them.
 * A lock file names its holder; one that has not been touched for twenty seconds is taken over, so that a
 * killed builder blocks nobody. Two builders at once, which a stopped clock could bring about, waste time
 * and do no harm: what they build is put in place as a whole.
 */
export async function withBuildLock<Result>(
  path: string,
  options: { signal?: AbortSignal | undefined; onWait?: () => void },
  work: () => Promise<Result>,
): Promise<Result> {
  const { signal, onWait = () => undefined } = options;
  const token = randomUUID();
  await inHome(path, () => mkdir(dirname(path), { recursive: true }));
  let waiting = false;
  while (!(await acquire(path, token))) {
    signal?.throwIfAborted();
    if (!waiting) onWait();
    waiting = true;
    await breakIfStale(path);
    await sleep(POLL_MS, undefined, { signal });
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    // Not if it was taken over meanwhile.
    if ((await holder(path)) === token) await rm(path, { force: true });
  }
}

async function acquire(path: string, token: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile(token);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    return await inHome(path, () => Promise.reject(error as Error));
  }
}

async function breakIfStale(path: string): Promise<void> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs < STALE_MS) return;
    // Only one of those who see it stale can move it away.
    const aside = `${path}.${randomUUID()}`;
    await rename(path, aside);
    await rm(aside, { force: true });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function holder(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}
