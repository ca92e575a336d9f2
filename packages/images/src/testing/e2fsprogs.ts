import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, readlink, lstat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
// Debian keeps them where only root looks.
const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };

/** Why the independent checks by e2fsprogs cannot be made here, or undefined where they can. */
export const e2fsprogsMissing = ((): string | undefined => {
  try {
    for (const tool of ["e2fsck", "debugfs"]) execFileSync(tool, ["-V"], { env, stdio: "ignore" });
    return undefined;
  } catch {
    // Said aloud: a run without them must not look as if it had checked the disks.
    const reason = "e2fsprogs is not installed: disks are not checked by e2fsck and debugfs";
    console.log(`skipped, ${reason}`);
    return reason;
  }
})();

/** What e2fsck says about a disk; it throws with its output where it finds anything to repair. */
export async function fsck(disk: string): Promise<string> {
  const { stdout } = await run("e2fsck", ["-f", "-n", disk], { env });
  return stdout;
}

/** What debugfs answers to a request: "stat /etc". */
export async function debugfs(disk: string, request: string): Promise<string> {
  const { stdout } = await run("debugfs", ["-R", request, disk], { env, maxBuffer: 64 << 20 });
  return stdout;
}

/** Grows a disk as the guest's administrator would. */
export async function resize2fs(disk: string): Promise<void> {
  await run("resize2fs", [disk], { env });
}

/** A file as debugfs copied it out: directories, contents and the targets of symbolic links. */
export type Dumped =
  | { type: "directory" }
  | { type: "symlink"; target: string }
  | { type: "file"; size: number; sha256: string };

/** All that debugfs reads of a disk, by path. lost+found is left out. */
export async function dump(disk: string, folder: string): Promise<Map<string, Dumped>> {
  await mkdir(folder, { recursive: true });
  await debugfs(disk, `rdump / ${folder}`);
  const found = new Map<string, Dumped>();
  await collect(folder, "", found);
  return found;
}

/** Unlike readdir's own recursion it does not follow symbolic links, which lead anywhere. */
async function collect(folder: string, prefix: string, found: Map<string, Dumped>): Promise<void> {
  for (const name of await readdir(join(folder, prefix))) {
    const path = prefix + name;
    const at = join(folder, path);
    const info = await lstat(at);
    if (path === "lost+found") continue;
    if (info.isDirectory()) {
      found.set(path, { type: "directory" });
      await collect(folder, `${path}/`, found);
    } else if (info.isSymbolicLink()) {
      found.set(path, { type: "symlink", target: await readlink(at) });
    } else {
      found.set(path, dumpedFile(await readFile(at)));
    }
  }
}

/** A file's content, short enough to be printed where it differs. */
export function dumpedFile(bytes: Uint8Array): Dumped {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { type: "file", size: bytes.length, sha256 };
}

/** Writes a disk for the tools to read. */
export async function saveDisk(path: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  return path;
}
