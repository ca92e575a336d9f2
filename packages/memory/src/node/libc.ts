/** The calls of the C library that have to do with memory. */
export interface Libc {
  readonly pageBytes: number;
  /** Maps `length` bytes of a file, privately and at this place; its address, or -1 if the host refuses. */
  mapPrivate(place: Uint8Array, length: number, fd: number, fileOffset: number): number;
  /** Gives back what the allocator holds and nobody uses, where it can. */
  trim(): void;
  /** Gives the memory of these bytes back to the host; false if it refuses. */
  dontNeed(place: Uint8Array, length: number): boolean;
}

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_FIXED = 0x02 | 0x10;
const MADV_DONTNEED = 4;
const SC_PAGESIZE = 30;

type Foreign = (...args: (number | Uint8Array)[]) => unknown;

/** As much of koffi as is used here; the package is optional, so its own types may be absent. */
interface Koffi {
  load(path: null): { func(prototype: string): Foreign };
}

/** The C library through the optional package koffi; undefined where there is none, or not on Linux. */
export async function loadLibc(): Promise<Libc | undefined> {
  if (process.platform !== "linux") return undefined;
  const koffi = "koffi";
  let libc: { func(prototype: string): Foreign };
  try {
    const module = (await import(koffi)) as { default: Koffi };
    libc = module.default.load(null);
  } catch {
    return undefined;
  }
  const mmap = libc.func(
    "intptr_t mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)",
  );
  const madvise = libc.func("int madvise(void *addr, size_t length, int advice)");
  const sysconf = libc.func("long sysconf(int name)");
  const trim = optional(libc, "int malloc_trim(size_t pad)");
  return {
    trim: () => void trim?.(0),
    pageBytes: Number(sysconf(SC_PAGESIZE)),
    mapPrivate: (place, length, fd, fileOffset) =>
      Number(mmap(place, length, PROT_READ_WRITE, MAP_PRIVATE_FIXED, fd, fileOffset)),
    dontNeed: (place, length) => Number(madvise(place, length, MADV_DONTNEED)) === 0,
  };
}

/** A function that not every C library has. */
function optional(
  libc: { func(prototype: string): Foreign },
  prototype: string,
): Foreign | undefined {
  try {
    return libc.func(prototype);
  } catch {
    return undefined;
  }
}
