import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openImage } from "@queztl/images/node";
import { QUEZTL_VM } from "./src/emulators.ts";
import { GuestShell } from "./src/guest-shell.ts";
import { defineBench } from "./src/index.ts";
import type { Case, Subject } from "./src/index.ts";

const MEMORY_MIB = 512;
const DISK_BYTES = 256 << 20;
const IPERF_PORT = 5201;

/** The same machine under both: kernel, root disk, a second disk, a network, a console into a file. */
interface MachineFiles {
  readonly kernel: string;
  readonly initrd: string;
  readonly root: string;
  readonly scratch: string;
  readonly console: string;
}

const words = (text: string): string[] => text.split(" ");
const APPEND = "console=ttyS0 cryptomgr.notests=1 root=/dev/vda ro";

const machines = {
  "queztl-vm": {
    program: process.execPath,
    needs: { debian: ["iperf3"] },
    args: (files: MachineFiles) => [
      ...words(`--conditions=@queztl/source ${QUEZTL_VM} run --memory ${MEMORY_MIB}`),
      ...words(`--kernel ${files.kernel} --initrd ${files.initrd}`),
      ...words(`--disk ${files.root},readonly --disk ${files.scratch}`),
      ...words(`--net user,allow=127.0.0.1:${IPERF_PORT} --console ${files.console}`),
      "--append",
      APPEND,
    ],
  },
  "qemu tcg": {
    program: "qemu-system-x86_64",
    needs: { debian: ["qemu-system-x86"] },
    args: (files: MachineFiles) => [
      ...words(`-accel tcg -cpu max -m ${MEMORY_MIB} -nographic -no-reboot`),
      ...words(`-kernel ${files.kernel} -initrd ${files.initrd}`),
      ...words(`-drive file=${files.root},format=raw,if=virtio,readonly=on`),
      ...words(`-drive file=${files.scratch},format=raw,if=virtio`),
      ...words("-netdev user,id=net -device virtio-net-pci,netdev=net"),
      ...words(`-device virtio-serial-pci -chardev file,id=console,path=${files.console}`),
      ...words("-device virtconsole,chardev=console"),
      "-append",
      APPEND,
    ],
  },
} as const;

type MachineName = keyof typeof machines;

const folder = mkdtempSync(join(tmpdir(), "queztl-virtio-bench-"));
let iperf: ChildProcess | undefined;
process.once("exit", () => {
  iperf?.kill();
  for (const guest of up) guest.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Machines that are up: they serve all cases. */
const guests = new Map<MachineName, Promise<GuestShell>>();
const up: GuestShell[] = [];

function guestOf(name: MachineName): Promise<GuestShell> {
  let guest = guests.get(name);
  guest ??= (async () => {
    const image = await openImage("debian", { packages: ["iperf3", "fio"] });
    if (image.disk === undefined) throw new Error("the image has no disk");
    const file = join(folder, name.replaceAll(" ", "-"));
    const scratch = `${file}.img`;
    // Not sparse, and in the host's cache.
    writeFileSync(scratch, Buffer.alloc(DISK_BYTES, "queztl"));
    const { program, args } = machines[name];
    const files = { kernel: image.kernel.path, initrd: image.initramfs.path };
    const disks = { root: image.disk.path, scratch, console: `${file}.console` };
    const booted = await GuestShell.boot(program, args({ ...files, ...disks }));
    up.push(booted);
    return booted;
  })();
  guests.set(name, guest);
  return guest;
}

/** Starts the host's iperf3 once and waits until it listens. */
async function iperfServer(): Promise<void> {
  iperf ??= spawn("iperf3", ["--server", "--port", String(IPERF_PORT)], { stdio: "ignore" });
  iperf.unref();
  for (let tries = 0; tries < 100; tries++) {
    const listening = await new Promise((resolve) => {
      const socket = connect(IPERF_PORT, "127.0.0.1", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (listening) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("iperf3 does not listen");
}

/** One row: a command in both guests, and how its output becomes a rate. */
function row(name: string, command: string, parse: (output: string) => number): Case {
  const subject = (machine: MachineName): Subject => ({
    name: machine,
    needs: machines[machine].needs,
    async setup() {
      await iperfServer();
      await guestOf(machine);
    },
    async measure() {
      const output = await (await guestOf(machine)).run(command);
      const rate = parse(output);
      if (!(rate > 0)) throw new Error(`${machine}: ${output}`);
      return rate;
    },
  });
  return {
    name,
    unit: "MB/s",
    better: "higher",
    ours: subject("queztl-vm"),
    peers: [subject("qemu tcg")],
  };
}

/** dd's last line: bytes, and the seconds they took. */
function ddRate(output: string): number {
  const [, bytes, seconds] = /(\d+) bytes .* copied, ([\d.e-]+) s/.exec(output) ?? [];
  return Number(bytes) / Number(seconds) / 1e6;
}

/** What the receiver got, from iperf3's report. */
function iperfRate(output: string): number {
  const [, mbits] = /([\d.]+) Mbits\/sec +receiver/.exec(output) ?? [];
  return Number(mbits) / 8;
}

const disk = (kind: string, words: string): string => `dd ${kind} bs=1M count=${words} 2>&1`;
const iperf3 = `iperf3 --client 10.0.2.2 --port ${IPERF_PORT} --format m --time 4`;
/** The terminal stays open between the two: who closes it last sets it back. */
const terminal = (mode: "sane" | "raw", count: number): string =>
  `{ stty ${mode} <&3; dd if=/dev/zero bs=64k count=${count} 2>&1 >&3; } 3<>/dev/hvc0`;
const DROP = "echo 3 >/proc/sys/vm/drop_caches";

export default defineBench({
  summary: "virtio devices of a stock Debian guest, both sides emulated: ours and QEMU's",
  rounds: 5,
  cases: [
    row("disk, sequential read", disk("if=/dev/vdb of=/dev/null", "256 iflag=direct"), ddRate),
    row("disk, sequential write", disk("if=/dev/zero of=/dev/vdb", "256 oflag=direct"), ddRate),
    row(
      "disk, read through the guest's cache",
      `${DROP}; ${disk("if=/dev/vdb of=/dev/null", "64")}`,
      ddRate,
    ),
    row(
      "disk, write through the guest's cache",
      `${DROP}; ${disk("if=/dev/zero of=/dev/vdb", "64 conv=fsync")}`,
      ddRate,
    ),
    row("network, guest to host (iperf3)", iperf3, iperfRate),
    row("network, host to guest (iperf3)", `${iperf3} --reverse`, iperfRate),
    // Lines end as on a terminal: the guest's kernel looks at each byte.
    row("virtio console output", terminal("sane", 32), ddRate),
    row("virtio console output, raw terminal", terminal("raw", 512), ddRate),
  ],
});
