import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inHome, isMissing, writeAtomically } from "./cache.ts";

/** What tells that a file was not written to since its checksum was compared; strings, for they are large. */
interface Stamp {
  readonly sha256: string;
  readonly size: string;
  readonly changed: string;
  readonly inode: string;
}

const STAMPS = "verified.json";
const CLOCK_TICK_MS = 50;

/** SHA-256 of a file in hexadecimal, read as a stream. */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const stream = createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) });
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/**
 * Whether a file has a SHA-256. It is read once; after that its inode, size and time of change, which
 * every write to it alters, stand for it, so that asking again costs nothing. They are kept beside the file.
 */
export async function isVerified(
  path: string,
  expected: string,
  options: { signal?: AbortSignal | undefined; onRead?: () => void } = {},
): Promise<boolean> {
  const stamps = await readStamps(dirname(path));
  const now = await stampOf(path, expected);
  if (!now) return false;
  const name = path.slice(dirname(path).length + 1);
  if (JSON.stringify(stamps[name]) === JSON.stringify(now)) return true;
  options.onRead?.();
  if ((await inHome(path, () => sha256OfFile(path, options.signal))) !== expected) return false;
  // A stamp from before the reading: who wrote meanwhile has altered it.
  await keepStamp(path, now);
  return true;
}

/** Notes that a file just written has a SHA-256. */
export async function markVerified(path: string, sha256: string): Promise<void> {
  const stamp = await stampOf(path, sha256);
  if (stamp) await keepStamp(path, stamp);
}

async function keepStamp(path: string, stamp: Stamp): Promise<void> {
  // Two writes within one tick of the file system's clock look like one.
  if (Date.now() - Number(BigInt(stamp.changed) / 1_000_000n) < CLOCK_TICK_MS) return;
  const folder = dirname(path);
  const stamps = { ...(await readStamps(folder)), [path.slice(folder.length + 1)]: stamp };
  await writeAtomically(join(folder, STAMPS), `${JSON.stringify(stamps, undefined, 2)}\n`);
}

async function stampOf(path: string, sha256: string): Promise<Stamp | undefined> {
  try {
    const { size, ctimeNs, ino } = await stat(path, { bigint: true });
    return { sha256, size: `${size}`, changed: `${ctimeNs}`, inode: `${ino}` };
  } catch (error) {
    if (isMissing(error)) return undefined;
    return await inHome(path, () => Promise.reject(error as Error));
  }
}

async function readStamps(folder: string): Promise<Record<string, unknown>> {
  try {
    const stamps: unknown = JSON.parse(await readFile(join(folder, STAMPS), "utf8"));
    return typeof stamps === "object" && stamps !== null ? { ...stamps } : {};
  } catch {
    // Absent or damaged: everything is read again.
    return {};
  }
}
