import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 300_000;
const PROMPT = ":~# ";
/** How often a command is typed until it is heard. */
const TYPE_MS = 20;

type Qemu = ChildProcessByStdio<Writable, Readable, null>;

/** What both boot. */
export interface GuestFiles {
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
  readonly memoryMib: number;
}

/** QEMU's emulator going on from a file that it migrated to: its way of starting a machine from a snapshot. */
export class QemuTemplate {
  readonly #folder = mkdtempSync(join(tmpdir(), "queztl-qemu-"));
  readonly #files: GuestFiles;

  constructor(files: GuestFiles) {
    this.#files = files;
  }

  /** Boots to the shell and saves the machine, as it stands at its prompt. */
  async build(): Promise<void> {
    const monitor = join(this.#folder, "monitor");
    const qemu = this.#spawn(["-monitor", `unix:${monitor},server=on,wait=off`]);
    try {
      await until(qemu, PROMPT);
      // Not stopped before: it would go on stopped.
      await command(monitor, `migrate "exec:cat > ${this.#state}"`);
      while (!/^Migration status: completed/m.test(await command(monitor, "info migrate")))
        await sleep(100);
    } finally {
      await end(qemu);
    }
  }

  /** Starts a machine from the file; resolves with it once a command has printed something, and how long that took. */
  async start(): Promise<{ readonly pid: number; readonly ms: number; end(): Promise<void> }> {
    const started = performance.now();
    const qemu = this.#spawn(["-monitor", "none", "-incoming", `exec:cat ${this.#state}`]);
    // What comes before the machine runs is lost with the state of its serial port.
    const typing = setInterval(() => qemu.stdin.write("echo qz$((6*7))\n"), TYPE_MS);
    try {
      await until(qemu, "qz42");
    } catch (error) {
      await end(qemu);
      throw error;
    } finally {
      clearInterval(typing);
    }
    const ms = performance.now() - started;
    return { pid: qemu.pid ?? 0, ms, end: () => end(qemu) };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #state(): string {
    return join(this.#folder, "state");
  }

  #spawn(more: readonly string[]): Qemu {
    const { kernel, initramfs, commandLine, memoryMib } = this.#files;
    const machine = `-accel tcg -cpu max -m ${memoryMib} -display none -serial stdio -nic none`;
    const files = ["-kernel", kernel, "-initrd", initramfs, "-append", commandLine];
    return spawn("qemu-system-x86_64", [...machine.split(" "), ...files, ...more], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  }
}

function until(qemu: Qemu, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => qemu.kill("SIGKILL"), LIMIT_MS);
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      qemu.stdout.off("data", look);
      if (error) reject(error);
      else resolve();
    };
    const look = (data: Buffer): void => {
      text += data.toString("latin1");
      if (text.includes(what)) finish();
    };
    qemu.stdout.on("data", look);
    qemu.once("error", finish);
    qemu.once("close", () => finish(new Error(`qemu ended before ${what}: ${text.slice(-500)}`)));
  });
}

/** A command of the human monitor, and what it answers up to the next prompt. */
function command(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.once("error", reject);
    socket.on("data", (data) => {
      text += data.toString("latin1");
      const prompts = text.split("(qemu) ").length - 1;
      if (prompts === 1 && !text.includes(line)) socket.write(`${line}\n`);
      if (prompts < 2) return;
      socket.destroy();
      resolve((text.split("(qemu) ")[1] ?? "").replaceAll("\r", ""));
    });
  });
}

async function end(qemu: Qemu): Promise<void> {
  if (qemu.exitCode !== null || qemu.signalCode !== null) return;
  const closed = new Promise((resolve) => qemu.once("close", resolve));
  qemu.kill("SIGKILL");
  await closed;
}
