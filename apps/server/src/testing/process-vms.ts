import { spawn } from "node:child_process";
import { createReadStream, existsSync, openSync, readFileSync } from "node:fs";
import { cp, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import type {
  GuestFile,
  GuestFolder,
  GuestProgram,
  HostedVm,
  RunEnd,
  RunSpec,
  VmHost,
  VmSpec,
} from "../vms/vm-host.ts";

const LOOK_MS = 15;

// Keeps a program's output and end in files, so that whoever comes later finds them.
const WRAPPER = `dir=$1; shift
# Whoever finds no number here has removed the folder, or will, and then this ends before it begins.
echo $$ >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid" || exit
"$@" >"$dir/stdout" 2>"$dir/stderr" <"$dir/stdin"
echo $? >"$dir/exit.new"; mv "$dir/exit.new" "$dir/exit"`;

/**
 * VMs for tests that need none: a folder in place of a guest, programs of this computer in place of the guest's. They outlive
 * the server as real ones do. A program's paths are not confined; only tests choose them.
 */
export function createProcessVms(home: string, options: { mostMemoryMib?: number } = {}): VmHost {
  const folder = join(home, "vms");
  const pathOf = (id: string) => join(folder, id);
  const openVm = async (id: string): Promise<HostedVm | undefined> =>
    existsSync(join(pathOf(id), "vm.json")) ? new ProcessVm(pathOf(id), id) : undefined;
  return {
    engines: ["emulator"],
    mostMemoryMib: options.mostMemoryMib ?? 3584,
    mostCpu: 16,
    sizes: { memoryMib: [256, 512, 1024, 2048], cpu: [1, 2, 4] },
    async create(spec) {
      await mkdir(join(pathOf(spec.id), "root"), { recursive: true });
      const ports = spec.ports.map(({ host = 40_000, ...port }) => ({ ...port, host }));
      await save(pathOf(spec.id), { spec: { ...spec, ports }, state: "stopped", startedAt: 0 });
      return new ProcessVm(pathOf(spec.id), spec.id);
    },
    open: ({ id }) => openVm(id),
    remove: async (id) => (await openVm(id))?.destroy(),
    list: () => readdir(folder).catch(() => []),
    prepare: async () => undefined,
    templates: async () => [],
    dropTemplate: async () => undefined,
    pruneTemplates: async () => [],
    standBy: async () => undefined,
    close: async () => undefined,
  };
}

interface Saved {
  readonly spec: VmSpec & { ports: HostedVm["ports"] };
  state: HostedVm["state"];
  startedAt: number;
}

async function save(path: string, saved: Saved): Promise<void> {
  await writeFile(join(path, "vm.json.new"), JSON.stringify(saved));
  await rename(join(path, "vm.json.new"), join(path, "vm.json"));
}

class ProcessVm implements HostedVm {
  readonly id: string;
  readonly engine = "emulator";
  readonly #path: string;

  constructor(path: string, id: string) {
    this.#path = path;
    this.id = id;
  }

  get #saved(): Saved {
    return JSON.parse(readFileSync(join(this.#path, "vm.json"), "utf8")) as Saved;
  }

  get state() {
    return this.#saved.state;
  }

  get ports() {
    return this.#saved.spec.ports;
  }

  onEnded(): void {}

  async #move(state: Saved["state"], startedAt?: number): Promise<void> {
    const saved = this.#saved;
    await save(this.#path, { ...saved, state, startedAt: startedAt ?? saved.startedAt });
  }

  start = () => this.#move("running", Date.now());
  stop = async () => {
    await this.#killAll();
    await this.#move("stopped");
  };
  pause = () => this.#move("paused");
  resume = () => this.#move("running");
  reset = () => this.#move("running");

  async destroy(): Promise<void> {
    await this.#killAll();
    await rm(this.#path, { recursive: true, force: true, maxRetries: 5 });
  }

  async snapshot(snapshot: string) {
    await cp(join(this.#path, "root"), join(this.#path, "snapshots", snapshot), {
      recursive: true,
    });
    return { bytes: 1 };
  }

  async restore(snapshot: string): Promise<void> {
    await rm(join(this.#path, "root"), { recursive: true, force: true });
    await cp(join(this.#path, "snapshots", snapshot), join(this.#path, "root"), {
      recursive: true,
    });
    await this.#move("running");
  }

  removeSnapshot = (snapshot: string) =>
    rm(join(this.#path, "snapshots", snapshot), { recursive: true, force: true });

  async fork({ id, name }: { id: string; name: string }): Promise<HostedVm> {
    const path = join(dirname(this.#path), id);
    await mkdir(path, { recursive: true });
    await cp(join(this.#path, "root"), join(path, "root"), { recursive: true });
    const saved = this.#saved;
    await save(path, { ...saved, spec: { ...saved.spec, id, name } });
    return new ProcessVm(path, id);
  }

  async run(spec: RunSpec): Promise<GuestProgram> {
    const name = spec.persist ?? `run-${process.hrtime.bigint()}`;
    const directory = join(this.#path, "programs", name);
    const cwd = this.#inside(spec.directory ?? "/");
    await mkdir(directory, { recursive: true });
    await mkdir(cwd, { recursive: true });
    await writeFile(join(directory, "stdin"), "");
    await writeFile(join(directory, "stdout"), "");
    await writeFile(join(directory, "stderr"), "");
    const log = openSync(join(directory, "wrapper.log"), "a");
    const child = spawn("sh", ["-c", WRAPPER, "sh", directory, ...spec.command], {
      cwd,
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"], ...spec.environment },
    });
    child.on("error", () => undefined);
    child.unref();
    while (!existsSync(join(directory, "pid")) && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return programOf(directory, spec.timeoutSeconds);
  }

  async attach(name: string): Promise<GuestProgram> {
    const directory = join(this.#path, "programs", name);
    if (!existsSync(join(directory, "pid"))) throw new Error(`no program ${name}`);
    return programOf(directory);
  }

  async writeFile(
    path: string,
    data: Uint8Array,
    { offset, mode }: { offset: number; mode: number },
  ) {
    const inside = this.#inside(path);
    await mkdir(dirname(inside), { recursive: true });
    const file = await open(inside, offset === 0 ? "w" : "r+", mode);
    await file.write(data, 0, data.byteLength, offset);
    await file.close();
    return { bytes: offset + data.byteLength };
  }

  async readFile(path: string, { offset, length }: { offset: number; length: number }) {
    const bytes = await readFile(this.#inside(path));
    return { data: bytes.subarray(offset, offset + length), bytes: bytes.byteLength };
  }

  async copyIn(into: string, entries: AsyncIterable<GuestFile | GuestFolder>): Promise<void> {
    for await (const entry of entries) {
      const inside = join(this.#inside(into), entry.path);
      const { content } = entry;
      await mkdir(content === undefined ? inside : dirname(inside), { recursive: true });
      if (content !== undefined) await writeFile(inside, content, { mode: entry.mode });
    }
  }

  async *copyOut(from: string): AsyncGenerator<GuestFile> {
    const inside = this.#inside(from);
    for (const entry of await readdir(inside, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      yield {
        path: path.slice(inside.length + 1),
        bytes: (await stat(path)).size,
        mode: 0o644,
        content: createReadStream(path),
      };
    }
  }

  async console() {
    const output = new Blob(["queztl: ready\n"]).stream();
    return {
      output,
      write: async () => undefined,
      resize: () => undefined,
      close: () => undefined,
    };
  }

  async log({ from = 0, limit }: { from?: number; tail?: number; limit: number }) {
    const piece = {
      offset: 14,
      at: new Date(),
      stream: "console" as const,
      text: "queztl: ready\n",
    };
    return [piece].filter(({ offset }) => offset > from).slice(0, limit);
  }

  logGrown(_: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true }),
    );
  }

  async usage() {
    const uptimeSeconds = (Date.now() - this.#saved.startedAt) / 1000;
    const none = { readBytes: 0, writtenBytes: 0, receivedBytes: 0, sentBytes: 0 };
    return {
      cpuShare: 0,
      cpuSeconds: 0,
      memoryMib: 1,
      memoryShare: 0.1,
      diskMib: 0,
      ...none,
      uptimeSeconds,
    };
  }

  reclaim = async () => 0;

  #inside(path: string): string {
    return join(this.#path, "root", path);
  }

  async #killAll(): Promise<void> {
    const programs = join(this.#path, "programs");
    for (const name of await readdir(programs).catch(() => [])) kill(join(programs, name));
  }
}

function kill(directory: string): void {
  if (existsSync(join(directory, "exit"))) return;
  try {
    process.kill(-Number(readFileSync(join(directory, "pid"), "utf8")), "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function programOf(directory: string, timeoutSeconds?: number): GuestProgram {
  const started = Date.now();
  const pid = Number(readFileSync(join(directory, "pid"), "utf8"));
  const over = () => existsSync(join(directory, "exit")) || !isAlive(pid);
  let timedOut = false;
  const timer =
    timeoutSeconds === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          kill(directory);
        }, timeoutSeconds * 1000);
  timer?.unref();
  const ended = (async (): Promise<RunEnd> => {
    while (!over()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    clearTimeout(timer);
    const text = await readFile(join(directory, "exit"), "utf8").catch(() => "");
    const exitCode = text === "" ? null : Number(text);
    const used = { peakMib: 40, cpuSeconds: 0.01, wallSeconds: (Date.now() - started) / 1000 };
    // A program says by this status that it would have needed more memory.
    const outOfMemory = exitCode === 137;
    return {
      exitCode,
      signal: exitCode === null ? "SIGKILL" : null,
      timedOut,
      outOfMemory,
      ...used,
    };
  })();
  const tail = (name: string) =>
    Readable.toWeb(
      Readable.from(follow(join(directory, name), ended)),
    ) as ReadableStream<Uint8Array>;
  return {
    stdin: new WritableStream(),
    stdout: tail("stdout"),
    stderr: tail("stderr"),
    done: ended,
    resize: () => undefined,
    kill: () => kill(directory),
  };
}

async function* follow(path: string, ended: Promise<unknown>): AsyncGenerator<Uint8Array> {
  let [at, over] = [0, false];
  void ended.then(() => (over = true));
  for (;;) {
    const last = over;
    const file = await open(path, "r").catch(() => undefined);
    if (file === undefined) return;
    try {
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536, at);
        if (bytesRead === 0) break;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
    if (last) return;
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, LOOK_MS))]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody waits for is as good as dead.
    return !readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return false;
  }
}
