import { createHash } from "node:crypto";
import { mkdir, open, type FileHandle, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { LARGEST_CHUNK, type QueztlClient } from "@queztl/api/client";
import { isQueztlError } from "@queztl/errors";
import { qctlErrors } from "../errors.ts";
import type { StoredFile } from "../resources.ts";
import { isPassing, sleep } from "../session/wait.ts";

/** Told how far a transfer is. */
export type Progress = (bytes: number, of: number) => void;

const MOST_TRIES = 8;

/** Makes a call again after failures that pass by themselves; only for calls that may be repeated. */
export async function persistently<Answer>(
  call: () => Promise<Answer>,
  signal: AbortSignal,
): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (failure) {
      const passing = isQueztlError(failure) && isPassing(failure);
      if (!passing || tries >= MOST_TRIES || signal.aborted) throw failure;
      await sleep(100 * 2 ** tries, signal);
    }
  }
}

/** A file's bytes in pieces that one call can carry. */
export async function* piecesOf(path: string): AsyncGenerator<{ offset: number; data: Buffer }> {
  const file = await openToRead(path);
  try {
    const buffer = Buffer.alloc(LARGEST_CHUNK);
    for (let offset = 0; ;) {
      const { bytesRead } = await file.read(buffer, 0, LARGEST_CHUNK, offset);
      if (bytesRead === 0) return;
      yield { offset, data: buffer.subarray(0, bytesRead) };
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** The size of a file. Throws `QZ_QCTL_FILE_UNREADABLE`. */
export async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new Error("it is a directory");
    return found.size;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** Sends a file to the server, for a task, an image or the brain; a lost connection is taken up again. */
export async function uploadFile(
  client: QueztlClient,
  { path, name, signal, onProgress, onCreated }: UploadOptions,
): Promise<StoredFile> {
  const bytes = await sizeOf(path);
  let file = await client.file.create.mutate({ name, bytes }, { signal });
  const id = file.id;
  onCreated?.(id);
  for await (const { offset, data } of piecesOf(path)) {
    const text = data.toString("base64");
    file = await persistently(async () => {
      // A repeated piece that did arrive is refused as a conflict: what the server has tells.
      try {
        return await client.file.write.mutate({ file: id, offset, data: text }, { signal });
      } catch (failure) {
        if (!isQueztlError(failure) || failure.status !== "conflict") throw failure;
        const now = await client.file.get.query({ file: id }, { signal });
        if (now.received !== offset + data.byteLength) throw failure;
        return now;
      }
    }, signal);
    onProgress?.(file.received, bytes);
  }
  return file;
}

interface UploadOptions {
  readonly path: string;
  readonly name: string;
  readonly signal: AbortSignal;
  readonly onProgress?: Progress;
  /** Told of the server's file before it holds anything: whoever made it takes it back. */
  readonly onCreated?: (id: string) => void;
}

/** A piece of a file as the server gives it. */
interface Piece {
  readonly data: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Where a download goes, and what it must be. */
export interface DownloadOptions {
  readonly read: (offset: number) => Promise<Piece>;
  readonly path: string;
  readonly signal: AbortSignal;
  readonly sha256?: string | undefined;
  readonly onProgress?: Progress;
}

/** Fetches a file piece by piece beside its place, checks it, and puts it there whole. */
export async function downloadFile(options: DownloadOptions): Promise<number> {
  const { path, sha256 } = options;
  const draft = `${path}.${process.pid}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(draft, "w", 0o666);
    let read: { readonly bytes: number; readonly digest: string };
    try {
      read = await readAll(options, (data) => file.writeFile(data));
    } finally {
      await file.close();
    }
    if (sha256 !== undefined && read.digest !== sha256) {
      throw qctlErrors("QZ_QCTL_CHECKSUM_WRONG", { path });
    }
    await rename(draft, path);
    return read.bytes;
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined);
    if (isQueztlError(cause)) throw cause;
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw qctlErrors("QZ_QCTL_FILE_UNWRITABLE", { path, problem }, { cause });
  }
}

/** Reads a file of the server's to its end. */
export async function readAll(
  { read, signal, onProgress }: Pick<DownloadOptions, "read" | "signal" | "onProgress">,
  write: (data: Buffer) => Promise<void>,
): Promise<{ readonly bytes: number; readonly digest: string }> {
  const hash = createHash("sha256");
  for (let offset = 0; ;) {
    const piece = await persistently(() => read(offset), signal);
    const data = Buffer.from(piece.data, "base64");
    await write(data);
    hash.update(data);
    offset += data.byteLength;
    onProgress?.(offset, piece.bytes);
    // A file that shrinks meanwhile ends early.
    if (offset >= piece.bytes || data.byteLength === 0) {
      return { bytes: offset, digest: hash.digest("hex") };
    }
  }
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown) {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return qctlErrors("QZ_QCTL_FILE_UNREADABLE", { path, problem }, { cause });
}
