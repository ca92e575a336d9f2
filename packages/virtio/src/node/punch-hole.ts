/** Turns bytes of an open file into a hole; resolves to false where the file system cannot. */
export type PunchHole = (fd: number, offset: number, length: number) => Promise<boolean>;

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;

/** The part of `koffi` used here. */
interface ForeignFunctions {
  load(path: string): { func(prototype: string): ForeignFunction };
}
interface ForeignFunction {
  async(...args: unknown[]): void;
}

let found: Promise<PunchHole | undefined> | undefined;

/** Linux's `fallocate(FALLOC_FL_PUNCH_HOLE)` through the optional package `koffi`; undefined where either is missing. */
export function holePuncher(): Promise<PunchHole | undefined> {
  return (found ??= find());
}

async function find(): Promise<PunchHole | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    // Not a constant: the package is optional, and bundlers must not insist on it.
    const name = "koffi";
    const module = (await import(name)) as { default: ForeignFunctions };
    const fallocate = module.default
      .load(libc())
      .func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
    return (fd, offset, length) =>
      new Promise((resolve) => {
        fallocate.async(
          fd,
          PUNCH_HOLE | KEEP_SIZE,
          offset,
          length,
          (error: unknown, result: number) => resolve(error === null && result === 0),
        );
      });
  } catch {
    return undefined;
  }
}

/** glibc's and musl's names of the C library. */
function libc(): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  if (report.header?.glibcVersionRuntime !== undefined) return "libc.so.6";
  return process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1";
}
