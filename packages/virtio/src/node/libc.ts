/** Turns bytes of an open file into a hole; resolves to false where the file system cannot. */
export type PunchHole = (fd: number, offset: number, length: number) => Promise<boolean>;

/**
 * Fills the buffers, which lie in shared memory, with what the host's page cache has of the file; how many bytes, or
 * "never" where this file's system does not say what it has.
 */
export type CachedRead = (
  fd: number,
  offset: number,
  targets: readonly Uint8Array[],
) => number | "never";

/** What Node itself does not offer of Linux's files. */
export interface FileCalls {
  readonly punchHole: PunchHole;
  /** Undefined where the C library or the processor has other ways. */
  readonly readCached: CachedRead | undefined;
}

const FALLOCATE = { keepSize: 1, punchHole: 2 } as const;
const RWF_NOWAIT = 8;
/** The most buffers of one call, and the bytes of each one's address and length. */
const IOV_MAX = 1024;
const IOVEC_BYTES = 16;
/** The processors on which that is so, and a number's low half comes first. */
const LITTLE_64 = ["x64", "arm64"];
const EAGAIN = 11;
const HALF = 2 ** 32;

/** The part of `koffi` used here. */
interface ForeignFunctions {
  load(path: null): { func(prototype: string): ForeignFunction };
  address(buffer: Uint8Array): bigint;
  errno(): number;
}
interface ForeignFunction {
  (...args: (number | Uint8Array)[]): unknown;
  async(...args: unknown[]): void;
}

let found: Promise<FileCalls | undefined> | undefined;

/** The calls, through the optional package `koffi`; undefined where that is missing, or the host is not Linux. */
export function fileCalls(): Promise<FileCalls | undefined> {
  return (found ??= find());
}

async function find(): Promise<FileCalls | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    // Not a constant: the package is optional, and bundlers must not insist on it.
    const name = "koffi";
    const koffi = ((await import(name)) as { default: ForeignFunctions }).default;
    return { punchHole: holePuncher(koffi), readCached: cachedReader(koffi) };
  } catch {
    return undefined;
  }
}

function holePuncher(koffi: ForeignFunctions): PunchHole {
  const fallocate = koffi
    .load(null)
    .func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
  const mode = FALLOCATE.punchHole | FALLOCATE.keepSize;
  return (fd, offset, length) =>
    new Promise((resolve) => {
      fallocate.async(fd, mode, offset, length, (error: unknown, result: number) =>
        resolve(error === null && result === 0),
      );
    });
}

function cachedReader(koffi: ForeignFunctions): CachedRead | undefined {
  if (!LITTLE_64.includes(process.arch)) return undefined;
  let preadv2: ForeignFunction;
  try {
    preadv2 = koffi
      .load(null)
      .func("int64_t preadv2(int fd, void *iov, int count, int64_t offset, int flags)");
  } catch {
    // A C library from before it.
    return undefined;
  }
  const vector = new Uint32Array((IOV_MAX * IOVEC_BYTES) / 4);
  const bytes = new Uint8Array(vector.buffer);
  /** Where shared memory lies, which does not move as long as it lives. */
  const addresses = new WeakMap<SharedArrayBuffer, number>();
  return (fd, offset, targets) => {
    if (targets.length > IOV_MAX) return 0;
    let at = 0;
    for (const { buffer, byteOffset, length } of targets) {
      if (!(buffer instanceof SharedArrayBuffer)) return 0;
      let start = addresses.get(buffer);
      if (start === undefined) {
        start = Number(koffi.address(new Uint8Array(buffer)));
        addresses.set(buffer, start);
      }
      const address = start + byteOffset;
      vector[at] = address;
      vector[at + 1] = address / HALF;
      vector[at + 2] = length;
      vector[at + 3] = length / HALF;
      at += 4;
    }
    const count = Number(preadv2(fd, bytes, targets.length, offset, RWF_NOWAIT));
    if (count >= 0) return count;
    return koffi.errno() === EAGAIN ? 0 : "never";
  };
}
