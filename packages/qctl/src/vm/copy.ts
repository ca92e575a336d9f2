import { mkdir, stat } from "node:fs/promises";
import { basename, join, posix, resolve } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { QueztlClient } from "@queztl/api/client";
import {
  type Progress,
  downloadFile,
  persistently,
  piecesOf,
  readAll,
  sizeOf,
} from "../files/transfer.ts";
import { runInGuest } from "./guest-command.ts";

/** A copy between here and a VM. */
export interface CopyOptions {
  readonly client: QueztlClient;
  readonly server: string;
  readonly vm: string;
  readonly here: string;
  /** The path in the guest. */
  readonly there: string;
  readonly signal: AbortSignal;
  readonly onProgress: Progress;
}

// Both take paths as arguments, never as text of the script.
const UNPACK =
  'if [ -d "$1" ]; then d="$1/$2"; else d="$1"; fi; mkdir -p "$d" && cd "$d" && tar xf -';
const PACK = 'cd "$1" && tar cf - .';

/** Copies a file or a directory into a VM; into a directory where one is at its place, as `cp` does. */
export async function copyIn(options: CopyOptions): Promise<number> {
  const { client, vm, here, there, signal, onProgress } = options;
  if (here !== "-" && (await isDirectory(here))) return packIn(options);
  const size = here === "-" ? 0 : await sizeOf(here);
  const mode = here === "-" ? 0o644 : (await stat(here)).mode & 0o777;
  const isBelow = here !== "-" && (await isDirectoryThere(options));
  const path = isBelow ? posix.join(there, basename(here)) : there;
  let bytes = 0;
  const pieces = here === "-" ? piecesOfInput() : piecesOf(here);
  for await (const { offset, data } of nonEmpty(pieces)) {
    const piece = { vm, path, offset, data: data.toString("base64"), mode };
    await persistently(() => client.vm.copyTo.mutate(piece, { signal }), signal);
    bytes += data.byteLength;
    onProgress(bytes, size);
  }
  return bytes;
}

/** Copies a file or a directory out of a VM. */
export async function copyOut(options: CopyOptions): Promise<number> {
  const { client, vm, here, there, signal, onProgress } = options;
  const read = (offset: number) =>
    client.vm.copyFrom.query({ vm, path: there, offset }, { signal });
  if (here === "-") {
    const { bytes } = await readAll({ read, signal, onProgress }, async (data) => {
      process.stdout.write(data);
    });
    return bytes;
  }
  if (await isDirectoryThere(options)) return packOut(options);
  const path = (await isDirectory(here)) ? join(here, posix.basename(there)) : here;
  return downloadFile({ read, path, signal, onProgress });
}

async function packIn({ client, server, vm, here, there, signal, onProgress }: CopyOptions) {
  const { create } = await import("tar");
  let bytes = 0;
  const input = new PassThrough();
  const packing = pipeline(
    Readable.from(create({ cwd: here, portable: true }, ["."])),
    async function* count(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        bytes += chunk.byteLength;
        onProgress(bytes, 0);
        yield chunk;
      }
    },
    input,
  );
  const command = ["sh", "-c", UNPACK, "sh", there, basename(resolve(here))];
  const output = new PassThrough().resume();
  await Promise.all([
    packing,
    runInGuest({ client, server, vm, command, input, output, signal }).catch((failure: unknown) => {
      input.destroy();
      throw failure;
    }),
  ]);
  return bytes;
}

async function packOut({ client, server, vm, here, there, signal, onProgress }: CopyOptions) {
  const { extract } = await import("tar");
  const cwd = (await isDirectory(here)) ? join(here, posix.basename(there)) : here;
  await mkdir(cwd, { recursive: true });
  const output = new PassThrough();
  const command = ["sh", "-c", PACK, "sh", there];
  const running = runInGuest({ client, server, vm, command, output, signal }).finally(() =>
    output.end(),
  );
  // Links out of the directory, absolute paths and `..` of a hostile guest are refused by the library.
  const unpack = extract({ cwd, preserveOwner: false });
  const closed = new Promise<void>((resolve, reject) => {
    unpack.on("close", resolve).on("error", reject);
  });
  const writing = async (): Promise<number> => {
    let bytes = 0;
    for await (const chunk of output as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      onProgress(bytes, 0);
      if (!unpack.write(chunk)) {
        await Promise.race([new Promise<void>((resolve) => unpack.once("drain", resolve)), closed]);
      }
    }
    unpack.end();
    await closed;
    return bytes;
  };
  const [bytes] = await Promise.all([writing(), running, closed]);
  return bytes;
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function isDirectoryThere({ client, vm, there, signal }: CopyOptions): Promise<boolean> {
  const command = ["sh", "-c", '[ -d "$1" ]', "sh", there];
  const { exitCode } = await client.vm.exec.mutate({ vm, command }, { signal });
  return exitCode === 0;
}

async function* piecesOfInput(): AsyncGenerator<{ offset: number; data: Buffer }> {
  let offset = 0;
  for await (const chunk of process.stdin) {
    const data = Buffer.from(chunk as Uint8Array);
    yield { offset, data };
    offset += data.byteLength;
  }
}

/** An empty file has one piece, an empty one: it is to be made all the same. */
async function* nonEmpty(
  pieces: AsyncIterable<{ offset: number; data: Buffer }>,
): AsyncGenerator<{ offset: number; data: Buffer }> {
  let any = false;
  for await (const piece of pieces) {
    any = true;
    yield piece;
  }
  if (!any) yield { offset: 0, data: Buffer.alloc(0) };
}
