import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryFile, Qcow2Disk, RawDisk } from "@queztl/virtio";
import type { BlockBackend } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VirtioGuest, debianSource, testFolder } from "./virtio-guest.ts";

/** How often the monitor of each kind of disk is killed; by hand QUEZTL_KILLS=200. */
const KILLS = Number(process.env["QUEZTL_KILLS"] ?? 3);
const DISK_BYTES = 32 << 20;
const tools = ["mkfs.ext4", "e2fsck", "debugfs"].every(
  (tool) => spawnSync(tool, ["-V"]).error === undefined,
);

const folder = testFolder("virtio-kill");
const snapshot = join(folder.path, "snapshot");
let root = "";
afterAll(folder.remove);

/** Bytes of a file of its own: they name the write they are of. */
const contentOf = (n: number, bytes: number): Buffer =>
  Buffer.alloc(bytes, `${String(n).padStart(8, "0")}:`);
const RECORD = 512;
const BLOCK = 4096;
const BLOCKS = 256;
const FILES = 16;

/**
 * What the guest does with each number, every step made durable before the next: a record at the end of a file, a block
 * overwritten in the middle of another, and a file replaced by renaming. Then it says the number.
 */
const WRITER = `
use strict;
open(my $tty, '+<', '/dev/hvc0') or die "hvc0: $!";
system('stty raw -echo </dev/hvc0');
syswrite $tty, "waiting\\n";
my $line = '';
while ($line !~ /\\n/) { sysread $tty, $line, 1, length $line; }
my (undef, $n) = split ' ', $line;
my $dir = '/run/kill';
mkdir $dir;
system('mount', '-t', 'ext4', '/dev/vdb', $dir) == 0 or do { syswrite $tty, "E mount\\n"; exit 1 };
sub fail { syswrite $tty, "E $_[0]: $!\\n"; exit 1 }
sub content { my ($n, $bytes) = @_; return substr(sprintf('%08d:', $n) x ($bytes / 9 + 1), 0, $bytes) }
sub put { my ($file, $bytes) = @_; syswrite($file, $bytes) == length $bytes or fail('write'); syscall(74, fileno $file) == 0 or fail('fsync') }
sub at { my ($name) = @_; open(my $file, -e $name ? '+<' : '+>', $name) or fail($name); return $file }
my ($log, $blocks) = (at("$dir/log"), at("$dir/blocks"));
opendir(my $folder, $dir);
for (;; $n++) {
  sysseek $log, $n * ${RECORD}, 0; put($log, content($n, ${RECORD}));
  sysseek $blocks, $n * 769 % ${BLOCKS} * ${BLOCK}, 0; put($blocks, content($n, ${BLOCK}));
  my $name = "$dir/file" . $n % ${FILES};
  open(my $new, '>', "$name.new") or fail('new'); put($new, content($n, 3000)); close $new;
  rename("$name.new", $name) or fail('rename');
  syscall(74, fileno $folder) == 0 or fail('fsync of the folder');
  syswrite $tty, "A $n\\n";
}
`;

/** Boots a guest whose writer waits for the word, and saves it: every monitor that is killed goes on from there. */
async function prepare(): Promise<void> {
  let terminal = "";
  const onTerminal = (bytes: Uint8Array): void => void (terminal += Buffer.from(bytes).toString());
  const scratch = await RawDisk.open(new MemoryFile(DISK_BYTES));
  const source = await debianSource([], 256);
  root = source.root;
  await using guest = await VirtioGuest.boot(source, { onTerminal, scratch });
  await guest.agent.writeFile("/run/writer.pl", WRITER);
  guest.agent.exec(["perl", "/run/writer.pl"], { persist: "writer", stdin: "none" });
  while (!terminal.includes("waiting\n")) await new Promise((resolve) => setTimeout(resolve, 50));
  await guest.save(snapshot);
}

/** Starts a monitor and kills it some milliseconds after so many acknowledgements; the last one. */
async function killAfter(
  format: string,
  path: string,
  first: number,
  { count, ms }: { readonly count: number; readonly ms: number },
): Promise<number> {
  const script = join(import.meta.dirname, "virtio-kill-monitor.ts");
  const args = ["--conditions=@queztl/source", script, snapshot, root, format, path, String(first)];
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder.path, "code") };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env });
  let text = "";
  let killing = false;
  child.stdout.setEncoding("latin1");
  for await (const part of child.stdout) {
    text += String(part);
    if (killing || (text.split("\n").length <= count && !text.includes("E "))) continue;
    killing = true;
    setTimeout(() => child.kill("SIGKILL"), ms);
  }
  const lines = text.split("\n").slice(0, -1);
  expect(lines.filter((line) => !/^A \d+$/.test(line))).toEqual([]);
  return Number(lines.at(-1)?.slice(2));
}

/** The disk as a raw copy, with its journal replayed by e2fsck, which must find nothing else to mend. */
async function recovered(format: string, path: string): Promise<string> {
  const copy = join(folder.path, "copy.raw");
  if (format === "raw") copyFileSync(path, copy);
  else {
    const disk = await Qcow2Disk.open(await NodeFile.open(path, { readOnly: true }));
    const bytes = new Uint8Array(disk.capacity);
    await disk.read(0, bytes);
    await disk.close();
    writeFileSync(copy, bytes);
    // 3 says that clusters are allocated which nothing refers to: allowed after a crash.
    const { status, error } = spawnSync("qemu-img", ["check", "-f", "qcow2", path]);
    if (error === undefined) expect([0, 3]).toContain(status);
  }
  const replay = spawnSync("e2fsck", ["-p", copy], { encoding: "utf8" });
  expect([0, 1], replay.stdout + replay.stderr).toContain(replay.status);
  const check = spawnSync("e2fsck", ["-fn", copy], { encoding: "utf8" });
  expect(check.status, check.stdout + check.stderr).toBe(0);
  return copy;
}

function dumped(disk: string, file: string): Buffer {
  const target = join(folder.path, "dump");
  writeFileSync(target, "");
  execFileSync("debugfs", ["-R", `dump ${file} ${target}`, disk], { stdio: "pipe" });
  return readFileSync(target);
}

/** What was acknowledged up to `last` is there; the write after it may be there, in part or not. */
function checkContents(disk: string, last: number): void {
  const log = dumped(disk, "/log");
  for (let n = 0; n <= last; n++) {
    const record = log.subarray(n * RECORD, (n + 1) * RECORD);
    expect(record.equals(contentOf(n, RECORD)), `record ${n} of ${last}`).toBe(true);
  }
  const blocks = dumped(disk, "/blocks");
  for (let n = Math.max(0, last - BLOCKS + 2); n <= last; n++) {
    const at = ((n * 769) % BLOCKS) * BLOCK;
    expect(blocks.subarray(at, at + BLOCK).equals(contentOf(n, BLOCK)), `block ${n}`).toBe(true);
  }
  for (let n = Math.max(0, last - FILES + 1); n <= last; n++) {
    const file = dumped(disk, `/file${n % FILES}`);
    const next = n + FILES === last + 1 && file.equals(contentOf(last + 1, 3000));
    expect(next || file.equals(contentOf(n, 3000)), `file ${n}`).toBe(true);
  }
}

async function make(format: string, path: string): Promise<void> {
  const raw = format === "raw" ? path : `${path}.raw`;
  writeFileSync(raw, "");
  execFileSync("truncate", ["-s", String(DISK_BYTES), raw]);
  execFileSync("mkfs.ext4", ["-q", "-b", "4096", "-J", "size=4", raw]);
  if (format === "raw") return;
  const file = await NodeFile.open(path, { create: { size: 512 } });
  // Small clusters, so that there is much metadata to get wrong.
  const disk: BlockBackend = await Qcow2Disk.create(file, {
    capacity: DISK_BYTES,
    clusterBits: 12,
  });
  const bytes = readFileSync(raw);
  for (let at = 0; at < bytes.length; at += 4096) {
    const cluster = bytes.subarray(at, at + 4096);
    if (cluster.some((byte) => byte !== 0)) await disk.write(at, cluster);
  }
  await disk.flush();
  await disk.close();
}

describe.skipIf(!tools)("a monitor killed amid a guest's fsynced writes to ext4", () => {
  beforeAll(prepare, 900_000);

  test.each(["raw", "qcow2"])(
    "%s → everything that was acknowledged is there, and the file system is sound",
    async (format) => {
      const path = join(folder.path, `disk.${format}`);
      await make(format, path);
      let next = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const when = { count: 1 + ((kill * 7) % 23), ms: Math.random() * 40 };
        const last = await killAfter(format, path, next, when);
        expect(last).toBeGreaterThanOrEqual(next);
        checkContents(await recovered(format, path), last);
        next = last + 1;
      }
      console.log(`${format}: ${KILLS} kills, ${next} numbers acknowledged, none lost`);
    },
    60_000 + KILLS * 60_000,
  );
});
