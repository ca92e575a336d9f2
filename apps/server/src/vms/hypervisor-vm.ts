import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isQueztlError } from "@queztl/errors";
import type { AgentCommand, ExecResult, GuestEntry } from "@queztl/hypervisor";
import type { Vm, VmEnd, VmStats } from "@queztl/hypervisor/node";
import { serverErrors } from "../errors.ts";
import { readPart } from "../files/files.ts";
import { checkPortsFree } from "./host-ports.ts";
import type {
  GuestConsole,
  GuestFile,
  GuestFolder,
  GuestProgram,
  HostedVm,
  RunEnd,
  RunSpec,
  StartOptions,
  VmLogPiece,
  VmSpec,
  VmUsage,
} from "./vm-host.ts";

/** What a VM needs of its host. */
export interface HypervisorContext {
  readonly home: string;
  readonly make: (spec: VmSpec, options: StartOptions) => Promise<Vm>;
  readonly kept: (vm: HypervisorVm) => HypervisorVm;
}

type Bound = VmSpec & { readonly ports: HostedVm["ports"] };
type Ended = Parameters<HostedVm["onEnded"]>[0];

const MIB = 1_048_576;
const BUSYBOX = "/run/queztl/busybox";
const LOG_PIECE = 16_384;
const LOG_LOOK_MS = 250;
const GUEST_ANSWER_MS = 2000;
const SQUEEZE_MS = 5000;
const VERDICT_MS = 30_000;
/** The status of a program that SIGKILL ended. */
const KILLED = 137;
const ORDERLY: readonly VmEnd["reason"][] = ["power-off", "stopped", "lifetime", "idle"];

/** A VM of the hypervisor as the server sees it. */
export class HypervisorVm implements HostedVm {
  readonly id: string;
  readonly engine = "emulator";
  readonly ports: HostedVm["ports"];
  readonly #spec: Bound;
  readonly #context: HypervisorContext;
  #vm: Vm | undefined;
  #state: HostedVm["state"] = "stopped";
  #told: Ended[] = [];
  #watch: AbortController | undefined;
  #lastStats: VmStats | undefined;
  #lastShare = 0;

  /** @param vm undefined for a VM that was never started: then there is no more of it than its record. */
  constructor(spec: Bound, vm: Vm | undefined, context: HypervisorContext) {
    this.id = spec.id;
    this.ports = spec.ports;
    this.#spec = spec;
    this.#vm = vm;
    this.#context = context;
  }

  get state(): HostedVm["state"] {
    return this.#state;
  }

  onEnded(told: Ended): void {
    this.#told.push(told);
  }

  /** Looks at how it is, after it was opened. */
  async refresh(): Promise<void> {
    const { state } = await this.#there().inspect();
    this.#state = state === "starting" ? "running" : state;
    if (this.#state === "running" || this.#state === "paused") this.#watchEnd();
  }

  async start(options: StartOptions = {}): Promise<void> {
    await checkPortsFree(this.ports);
    if (this.#vm === undefined) this.#vm = await this.#context.make(this.#spec, options);
    else await this.#vm.start();
    this.#state = "running";
    this.#watchEnd();
    if (this.#spec.name !== this.id) void this.#nameGuest();
  }

  async stop(graceSeconds: number): Promise<void> {
    this.#watch?.abort();
    await this.#there().stop({ graceMs: graceSeconds * 1000 });
    this.#state = "stopped";
  }

  async pause(): Promise<void> {
    await this.#there().pause();
    this.#state = "paused";
  }

  async resume(): Promise<void> {
    await this.#there().resume();
    this.#state = "running";
  }

  async reset(): Promise<void> {
    const vm = this.#there();
    await vm.reset();
    if (this.#state === "paused") await vm.resume();
    this.#state = "running";
  }

  async destroy(): Promise<void> {
    this.#watch?.abort();
    const vm = this.#vm;
    this.#vm = undefined;
    try {
      await vm?.destroy();
    } catch (cause) {
      if (!isQueztlError(cause, "QZ_HYPERVISOR_VM_UNKNOWN")) throw cause;
    }
  }

  async snapshot(snapshot: string): Promise<{ bytes: number }> {
    const vm = this.#there();
    await vm.snapshot(snapshot);
    const { folder } = await vm.inspect();
    return { bytes: await bytesOf(join(folder, "snapshots", snapshot)) };
  }

  async restore(snapshot: string): Promise<void> {
    const vm = this.#there();
    if (this.#state === "stopped" || this.#state === "crashed") await this.start();
    await vm.restore(snapshot);
    // A snapshot goes on as it was taken; what is restored is to run.
    if ((await vm.status()).state === "paused") await vm.resume();
    this.#state = "running";
  }

  removeSnapshot(snapshot: string): Promise<void> {
    return this.#there().removeSnapshot(snapshot);
  }

  async fork(spec: { id: string; name: string }): Promise<HostedVm> {
    const vm = await this.#there().fork({ id: spec.id, labels: { "queztl.server": "1" } });
    const fork = this.#context.kept(
      new HypervisorVm({ ...this.#spec, ...spec, ports: [] }, vm, this.#context),
    );
    await fork.refresh();
    if (fork.state === "running") await fork.#nameGuest();
    return fork;
  }

  async run(spec: RunSpec): Promise<GuestProgram> {
    const { command, environment, directory, user, terminal, timeoutSeconds, persist } = spec;
    const started = await this.#there().spawn(command, {
      stdin: spec.stdin ?? "pipe",
      ...(environment && { env: environment }),
      ...(directory !== undefined && { cwd: directory }),
      ...(user !== undefined && { user }),
      ...(terminal && { tty: terminal }),
      ...(timeoutSeconds !== undefined && { timeoutMs: timeoutSeconds * 1000 }),
      // A task is over with its program; a service that somebody starts by hand is to stay.
      ...(persist !== undefined && { persist, orphans: "kill" }),
    });
    return this.#program(started);
  }

  async attach(name: string): Promise<GuestProgram> {
    const agent = await this.#there().agent();
    return this.#program(agent.attach(name));
  }

  async writeFile(
    path: string,
    data: Uint8Array,
    { offset, mode }: { offset: number; mode: number },
  ): Promise<{ bytes: number }> {
    const vm = this.#there();
    if (offset === 0) await (await vm.agent()).writeFile(path, data, { mode });
    else {
      // The agent writes whole files; the rest of one is put behind what is there, if that is all of it.
      const script = `[ "$(${BUSYBOX} stat -c %s "$1")" = "$2" ] && exec ${BUSYBOX} cat >>"$1"`;
      const words = [BUSYBOX, "sh", "-c", script, "sh", path, String(offset)];
      const { status } = await vm.exec(words, { input: data });
      if (status !== 0) {
        throw serverErrors("QZ_SERVER_FILE_OFFSET", { id: path, received: "its end", offset });
      }
    }
    return { bytes: offset + data.byteLength };
  }

  async readFile(
    path: string,
    { offset, length }: { offset: number; length: number },
  ): Promise<{ data: Uint8Array; bytes: number }> {
    const vm = this.#there();
    const size = await vm.exec([BUSYBOX, "stat", "-L", "-c", "%s", path]);
    if (size.status !== 0) {
      throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "file", wanted: path });
    }
    const script = `${BUSYBOX} tail -c "+$2" "$1" | ${BUSYBOX} head -c "$3"`;
    const words = [BUSYBOX, "sh", "-c", script, "sh", path, String(offset + 1), String(length)];
    const { stdoutBytes } = await vm.exec(words, { maxOutputBytes: length + 1 });
    return { data: stdoutBytes, bytes: Number(size.stdout.trim()) };
  }

  async copyIn(
    folder: string,
    files: AsyncIterable<GuestFile | GuestFolder>,
    signal?: AbortSignal,
  ): Promise<void> {
    const options = signal === undefined ? {} : { signal };
    const agent = await this.#there().agent(options);
    await agent.copyIn(folder, entriesOf(files), options);
  }

  async *copyOut(folder: string): AsyncGenerator<GuestFile> {
    const agent = await this.#there().agent();
    for await (const entry of agent.copyOut(folder, { maxBytes: 2 ** 40 })) {
      if (entry.type !== "file" || entry.skipped !== undefined) continue;
      const { path, size, mode, content } = entry;
      yield { path, bytes: size, mode: mode & 0o777, content };
    }
  }

  async console(options: {
    columns: number;
    rows: number;
    scrollbackBytes: number;
  }): Promise<GuestConsole> {
    const vm = this.#there();
    const { columns, rows, scrollbackBytes } = options;
    const console = await vm.console({ scrollBackBytes: scrollbackBytes });
    const writer = console.input.getWriter();
    // What comes from a client is a whole frame: only its size is the monitor's business.
    const resize = (size: { columns: number; rows: number }) => {
      vm.resizeConsole({ columns: size.columns, rows: size.rows }).catch(() => undefined);
    };
    resize({ columns, rows });
    return {
      output: console.output,
      write: (data) => writer.write(data),
      resize,
      close: () => console.close(),
    };
  }

  async log(range: { from?: number; tail?: number; limit: number }): Promise<VmLogPiece[]> {
    const path = await this.#logPath();
    const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
    const size = path === undefined || found === undefined ? 0 : found.size;
    const back = range.tail === undefined ? Infinity : range.tail * LOG_PIECE;
    let at = range.from ?? Math.max(0, size - back);
    const pieces: VmLogPiece[] = [];
    if (range.from === undefined && size < back) pieces.push(this.#firstWords());
    if (path === undefined || found === undefined) return pieces;
    const { mtime } = found;
    // The file was begun anew when it was full.
    if (at > size) at = 0;
    while (at < size && pieces.length < range.limit) {
      const bytes = await readPart(path, at, Math.min(LOG_PIECE, size - at));
      if (bytes.byteLength === 0) break;
      at += bytes.byteLength;
      pieces.push({ offset: at, at: mtime, stream: "console", text: bytes.toString("utf8") });
    }
    return pieces;
  }

  async logGrown(from: number, signal: AbortSignal): Promise<void> {
    const path = await this.#logPath();
    while (!signal.aborted && this.#vm !== undefined) {
      const size = path === undefined ? 0 : ((await stat(path).catch(() => undefined))?.size ?? 0);
      if (size !== from) return;
      await sleep(LOG_LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async usage(): Promise<VmUsage> {
    const vm = this.#there();
    const stats = await vm.stats();
    const before = this.#lastStats;
    this.#lastStats = stats;
    const cpuSeconds = stats.cpuSeconds - (before?.cpuSeconds ?? 0);
    const wallSeconds = stats.wallSeconds - (before?.wallSeconds ?? 0);
    const share = wallSeconds > 0 ? cpuSeconds / wallSeconds / stats.cpus : 0;
    return {
      cpuShare: Math.min(1, Math.max(0, share)),
      cpuSeconds: stats.cpuSeconds,
      memoryMib: (stats.privateBytes ?? stats.residentBytes) / MIB,
      memoryShare: this.#state === "running" ? await this.#memoryShare() : 0,
      diskMib: stats.diskBytes / MIB,
      readBytes: stats.disk.readBytes,
      writtenBytes: stats.disk.writtenBytes,
      receivedBytes: stats.network?.receivedBytes ?? 0,
      sentBytes: stats.network?.sentBytes ?? 0,
      uptimeSeconds: stats.wallSeconds,
    };
  }

  /** Has the guest give up what it does not use, and at once lets it have that again when it wants it. */
  async reclaim(): Promise<number> {
    const vm = this.#there();
    const before = await vm.stats();
    const { available } = await this.#guestMemory();
    const wanted = Math.floor(available * 0.75);
    if (wanted < MIB) return 0;
    try {
      await vm.balloon(wanted);
      const until = performance.now() + SQUEEZE_MS;
      while (performance.now() < until && (await vm.stats()).balloonBytes < wanted * 0.9)
        await sleep(100);
      const after = await vm.stats();
      return Math.max(0, before.residentBytes - after.residentBytes) / MIB;
    } finally {
      await vm.balloon(0);
    }
  }

  /** Lets go of it; it goes on. */
  async letGo(): Promise<void> {
    this.#watch?.abort();
    await this.#vm?.close();
  }

  #there(): Vm {
    if (this.#vm !== undefined) return this.#vm;
    const { id, state } = this;
    throw serverErrors("QZ_SERVER_STATE", { kind: "VM", id, state, needed: "started once" });
  }

  /** A guest from a template has said all it says at a boot before: its log begins with words of ours. */
  #firstWords(): VmLogPiece {
    const { name, cpu, memoryMib, image } = this.#spec;
    const text = `VM ${name}: ${cpu} CPU, ${memoryMib} MiB, ${image}\n`;
    return { offset: 0, at: new Date(), stream: "system", text };
  }

  async #logPath(): Promise<string | undefined> {
    const inspected = await this.#vm?.inspect().catch(() => undefined);
    return inspected === undefined ? undefined : join(inspected.folder, "console.log");
  }

  /** What part of its memory the guest uses; the last that it said where it does not answer in time. */
  async #memoryShare(): Promise<number> {
    const { total, available } = await this.#guestMemory().catch(() => ({
      total: 0,
      available: 0,
    }));
    if (total > 0) this.#lastShare = Math.min(1, Math.max(0, 1 - available / total));
    return this.#lastShare;
  }

  async #guestMemory(): Promise<{ total: number; available: number }> {
    const { memory } = await this.#there().guestStats({
      signal: AbortSignal.timeout(GUEST_ANSWER_MS),
    });
    return { total: memory["MemTotal"] ?? 0, available: memory["MemAvailable"] ?? 0 };
  }

  /** The guest's host name is its VM's name, once it can be told. */
  async #nameGuest(): Promise<void> {
    try {
      await (await this.#there().agent()).configure({ hostname: this.#spec.name });
    } catch {
      // It keeps its id as its name.
    }
  }

  #watchEnd(): void {
    this.#watch?.abort();
    const watch = (this.#watch = new AbortController());
    void this.#there()
      .ended({ signal: watch.signal })
      .then((end) => {
        if (watch.signal.aborted) return;
        this.#state = ORDERLY.includes(end.reason) ? "stopped" : "crashed";
        const problem = end.message ?? end.reason;
        for (const told of this.#told) told({ state: this.#state, problem });
        return undefined;
      })
      .catch(() => undefined);
  }

  #program(command: AgentCommand): GuestProgram {
    const killed = { here: false };
    return {
      stdin: command.stdin,
      stdout: command.stdout,
      stderr: command.stderr,
      done: command.done.then((result) => this.#endOf(result, killed.here)),
      resize: (size) => command.resize(size),
      kill: () => {
        killed.here = true;
        command.kill();
      },
    };
  }

  async #endOf(result: ExecResult, killed: boolean): Promise<RunEnd> {
    const { status, signal, timedOut, usage } = result;
    const suspicious = status !== 0 && !timedOut && !killed;
    return {
      exitCode: signal === undefined ? status : null,
      signal: signal ?? null,
      timedOut,
      outOfMemory: suspicious && (await this.#ranOut(result)),
      peakMib: usage.peakMemoryBytes / MIB,
      cpuSeconds: usage.userSeconds + usage.systemSeconds,
      wallSeconds: usage.wallSeconds,
    };
  }

  /**
   * Whether a program ended for lack of memory: it was killed, or says so by the same status as Python's skills do, or the
   * guest's kernel has killed one of its processes.
   */
  async #ranOut({ status }: ExecResult): Promise<boolean> {
    if (status === KILLED) return true;
    try {
      const signal = AbortSignal.timeout(VERDICT_MS);
      const bytes = await (await this.#there().agent()).readFile("/proc/vmstat", { signal });
      return Number(/^oom_kill (\d+)$/m.exec(Buffer.from(bytes).toString("latin1"))?.[1] ?? 0) > 0;
    } catch {
      return false;
    }
  }
}

/** Files as the agent takes them: a folder comes before what is in it. */
async function* entriesOf(
  entries: AsyncIterable<GuestFile | GuestFolder>,
): AsyncGenerator<GuestEntry> {
  const made = new Set<string>();
  for await (const entry of entries) {
    const { path, content } = entry;
    const parts = path.split("/").slice(0, content === undefined ? undefined : -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join("/");
      if (made.has(folder)) continue;
      made.add(folder);
      yield { type: "directory", path: folder };
    }
    if (content !== undefined) yield { type: "file", path, mode: entry.mode, content };
  }
}

async function bytesOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).blocks * 512;
  }
  return bytes;
}
