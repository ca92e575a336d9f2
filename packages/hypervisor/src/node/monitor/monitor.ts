import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { RawDisk } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import type { AgentClient } from "../../agent/client.ts";
import { hypervisorError } from "../../errors.ts";
import type { MachineEnd } from "../../machine-end.ts";
import { saveMachine } from "../snapshot-folder.ts";
import type { SaveMachineOptions } from "../snapshot-folder.ts";
import type { VmConfig, VmEnd, VmState } from "../vm/vm-config.ts";
import type { VmFolder } from "../vm/vm-folder.ts";
import { replaceFile } from "../vm/vm-folder.ts";
import type { WarmGuest } from "../standby/warm-guest.ts";
import type { VmEvent, VmStats, VmStatus } from "../vm/protocol.ts";
import { AgentHub } from "./agent-hub.ts";
import { CappedLog } from "./capped-log.ts";
import { ConsoleHub } from "./console-hub.ts";
import { ControlServer } from "./control-server.ts";
import type { ControlHandlers } from "./control-server.ts";
import { collectModules } from "../collect-modules.ts";
import { createGuestMachine, driveSerial } from "./guest-machine.ts";
import type { DiskDrive } from "./disk-drive.ts";
import type { GuestMachine, GuestMachineHost } from "./guest-machine.ts";
import { Deadlines } from "./deadlines.ts";
import { privateBytes } from "./private-bytes.ts";
import { SNAPSHOTS, bytesIn, removePartials } from "./vm-leftovers.ts";
import { recoverVmDisks, replaceVmDisks, saveVmDisk } from "./vm-disks.ts";

/**
 * The VM's folder, which is this process's directory: by its path a monitor that is being destroyed, and does not know,
 * would make it anew.
 */
const HERE = ".";
/** The most that a console's log takes on the disk. */
const CONSOLE_LOG_BYTES = 4 * 1024 * 1024;
/** What a guest whose time is up is given to shut down. */
const LIMIT_GRACE_MS = 10_000;

/** Ends with a status of its own when a disk, by its serial number, or a part of it, is mounted or swapped to. */
const MOUNTED_STATUS = 9;
const MOUNTED = `for d in /sys/block/vd*; do
  [ "$(cat "$d/serial")" = "$1" ] || continue
  grep -q "^/dev/\${d##*/}" /proc/mounts /proc/swaps && exit ${MOUNTED_STATUS}
done; exit 0`;
/** Of device faults and resets, in a second. */
const MOST_EVENTS = 20;
/** How long the guest may take to tell. */
const ASK_MS = 15_000;

type UntimedEvent = VmEvent extends infer Event
  ? Event extends VmEvent
    ? Omit<Event, "at">
    : never
  : never;

/** Runs one VM: its machine, its control socket, its console and its limits, until the machine ends. */
export class Monitor {
  readonly #config: VmConfig;
  readonly #folder: VmFolder;
  readonly #run: number;
  readonly #startedAt = new Date().toISOString();
  readonly #log: CappedLog;
  readonly #console: ConsoleHub;
  readonly #agent: AgentHub;
  readonly #openedMs = performance.now();
  readonly #warm: WarmGuest | undefined;
  #server: ControlServer | undefined;
  #deadlines: Deadlines | undefined;
  #guest: GuestMachine | undefined;
  #state: VmState = "starting";
  #end: VmEnd | undefined;
  /** Why the plug was pulled, when it was not the guest. */
  #reason: Pick<VmEnd, "reason" | "message"> | undefined;
  #saving: Promise<void> = Promise.resolve();
  /** One change of the machine at a time. */
  #changing: Promise<unknown> = Promise.resolve();
  /** Events that the guest brought about, in which second. */
  #told = 0;
  #toldSecond = 0;
  #tellEnd: (end: VmEnd) => void = () => undefined;
  /** Resolves when the VM is over and all that it had is given back. */
  readonly ended: Promise<VmEnd>;

  private constructor(
    config: VmConfig,
    folder: VmFolder,
    run: number,
    log: CappedLog,
    warm: WarmGuest | undefined,
  ) {
    this.#config = config;
    this.#folder = folder;
    this.#run = run;
    this.#log = log;
    this.#warm = warm;
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    this.#console = new ConsoleHub(async (bytes) => {
      // What is typed before there is a machine is for it too.
      await this.#changing;
      await this.#guest?.machine.serial.send(bytes);
    });
    this.#agent = new AgentHub((agent) => this.#tell({ type: "agent", agent }));
  }

  /**
   * Takes up a VM whose run this process has claimed; clients can connect when this resolves.
   * @param warm a machine that it goes on with instead of its origin.
   */
  static async open(
    config: VmConfig,
    folder: VmFolder,
    run: number,
    warm?: WarmGuest,
  ): Promise<Monitor> {
    const log: CappedLog = await CappedLog.open("console.log", CONSOLE_LOG_BYTES, () =>
      monitor.#guest?.machine.serial.resumeOutput(),
    );
    const monitor: Monitor = new Monitor(config, folder, run, log, warm);
    await monitor.#save();
    const hello = { vm: config.id, pid: process.pid };
    monitor.#server = await ControlServer.listen("control.sock", hello, monitor.#handlers());
    return monitor;
  }

  /** Makes the machine and starts it. Never rejects: what goes wrong is the VM's end. */
  async start(): Promise<void> {
    const { limits, createdAt } = this.#config;
    // Later the disks are not those of the snapshot any more.
    const origin = this.#run === 1 ? this.#config.origin : undefined;
    try {
      // At once: what clients ask for waits behind it.
      await this.#change(async () => {
        await removePartials(HERE);
        await recoverVmDisks(HERE);
        await this.#begin(origin);
      });
      this.#deadlines = new Deadlines({
        limits,
        createdMs: Date.parse(createdAt),
        usage: () => ({
          busy: this.#console.viewers > 0 || this.#agent.busy,
          lastMs: Math.max(this.#openedMs, this.#console.lastUseMs, this.#agent.lastUseMs),
        }),
        over: (reason) => {
          this.#tell({ type: "limit", limit: reason, message: "its time is up" });
          void this.stop(LIMIT_GRACE_MS, { reason });
        },
      });
    } catch (error) {
      await this.#finish({ reason: "failure", message: messageOf(error) });
    }
  }

  /** Ends the VM: with the guest's leave within `graceMs`, then without. */
  async stop(graceMs: number, why: Pick<VmEnd, "reason" | "message">): Promise<VmEnd> {
    this.#reason ??= why;
    const machine = this.#guest?.machine;
    if (machine?.state === "paused" && graceMs > 0) machine.start();
    if (machine?.state === "running" && graceMs > 0) {
      machine.pressPowerButton();
      const timer = setTimeout(() => void machine.stop(), graceMs);
      await machine.ended;
      clearTimeout(timer);
    } else await machine?.stop();
    if (!machine) await this.#finish(this.#reason);
    return await this.ended;
  }

  /** Goes on from what the VM is made of, or boots. */
  async #begin(origin: VmConfig["origin"]): Promise<void> {
    const newIdentity = origin?.newIdentity === true;
    if (this.#warm) return this.#use(this.#warm.become(this.#config, this.#host), newIdentity);
    try {
      await this.#replaceMachine(origin?.snapshot, newIdentity);
    } catch (error) {
      if (origin?.template === undefined || this.#end) throw error;
      process.stderr.write(`queztl-monitor: it boots instead: ${messageOf(error)}\n`);
      await this.#replaceMachine(undefined, newIdentity);
    }
  }

  /** What is done with what comes out of a machine. */
  readonly #host: GuestMachineHost = {
    onSerial: (bytes) => {
      this.#console.output(bytes);
      return this.#log.write(bytes);
    },
    onDiskFull: () =>
      this.#tell({ type: "limit", limit: "diskBytes", message: "the disks are full" }),
    onDiskError: (error) =>
      this.#tell({ type: "device-fault", device: "block", message: messageOf(error) }),
    events: {
      onReset: () => {
        // What is asked for from now on is for the guest that boots, not for the agent that is gone.
        if (this.#guest) this.#agent.use(this.#guest.agent, undefined, "the machine was reset");
        this.#tell({ type: "reset" });
      },
      onDeviceFault: (device, error) =>
        this.#tell({ type: "device-fault", device, message: error.message }),
    },
  };

  /** Gives the guest what it must not share with the machine it came from. */
  readonly #renew = async (agent: AgentClient): Promise<void> => {
    const { id, network } = this.#config;
    await agent.configure({
      hostname: id,
      machineId: randomBytes(16).toString("hex"),
      clock: "now",
      entropy: randomBytes(64),
      ...(network && { mac: network.mac }),
    });
  };

  /** Has another machine run in place of the one there is, if there is one. */
  async #replaceMachine(snapshot: string | undefined, newIdentity = false): Promise<void> {
    const former = this.#guest;
    if (snapshot !== undefined) await this.#checkSnapshot(snapshot);
    this.#guest = undefined;
    await former?.machine.stop();
    if (snapshot !== undefined) await replaceVmDisks(this.#config, HERE, snapshot);
    await this.#use(
      await createGuestMachine(this.#config, HERE, this.#host, snapshot),
      newIdentity,
    );
  }

  /** Has a machine, which was just made, run. */
  async #use(guest: GuestMachine, newIdentity: boolean): Promise<void> {
    this.#guest = guest;
    const ended = async (end: MachineEnd): Promise<void> => {
      if (this.#guest === guest) await this.#finish(this.#reason ?? endOf(end));
    };
    void guest.machine.ended.then(ended);
    void guest.machine.ended.then(collectModules(guest.machine));
    // It was to be stopped while it was made.
    if (this.#end) {
      await guest.machine.stop();
      return;
    }
    this.#agent.use(guest.agent, newIdentity ? this.#renew : undefined);
    guest.machine.start();
    this.#setState("running");
  }

  #handlers(): ControlHandlers {
    return {
      status: () => this.#status(),
      stats: () => this.#stats(),
      pause: () =>
        this.#change(async () => {
          await this.#machine("pause").pause();
          this.#setState("paused");
          return {};
        }),
      resume: () =>
        this.#change(() => {
          const machine = this.#machine("resume");
          if (machine.state === "paused") machine.start();
          this.#setState("running");
          return {};
        }),
      reset: () =>
        this.#change(() => {
          this.#machine("reset").reset();
          return {};
        }),
      stop: ({ graceMs }) => this.stop(graceMs, { reason: "stopped" }),
      snapshot: ({ folder, ...options }) =>
        this.#change(async () => {
          await this.#snapshot(folder, options);
          this.#tell({ type: "snapshot", folder });
          return {};
        }),
      restore: ({ folder }) =>
        this.#change(async () => {
          await this.#replaceMachine(folder);
          this.#tell({ type: "restored", folder });
          return {};
        }),
      balloon: ({ bytes }) =>
        this.#change(() => {
          this.#machine("balloon");
          this.#guest?.balloon.setTarget(bytes);
          return {};
        }),
      attachDisk: ({ drive, path, readOnly }) =>
        this.#change(async () => {
          const place = this.#drive(drive);
          const file = await NodeFile.open(path, { readOnly });
          try {
            place.insert(await RawDisk.open(file, { readOnly }));
          } catch (error) {
            await file.close();
            throw error;
          }
          return {};
        }),
      detachDisk: ({ drive, force }, signal) =>
        this.#change(async () => {
          const place = this.#drive(drive);
          if (place.loaded && !force) await this.#checkUnused(drive, signal);
          await place.eject();
          return {};
        }),
      resizeConsole: async ({ columns, rows }, signal) => {
        const agent = await this.#agent.client(signal);
        await agent?.run(["stty", "-F", "/dev/ttyS0", "cols", `${columns}`, "rows", `${rows}`], {
          timeoutMs: 10_000,
          signal,
        });
        return {};
      },
      console: (options, socket) => this.#console.attach(socket, options),
      agent: (_, socket) => this.#agent.attach(socket),
    };
  }

  #drive(index: number): DiskDrive {
    this.#machine("this");
    const drive = this.#guest?.drives[index];
    if (drive) return drive;
    const expected = `the VM was made with ${this.#config.drives} drives, from 0`;
    throw hypervisorError("QZ_HYPERVISOR_OPTIONS", { option: "drive", value: index, expected });
  }

  /** Asks the guest whether it has a drive's disk mounted. @throws QZ_HYPERVISOR_VM_STATE when it has, or cannot tell */
  async #checkUnused(drive: number, signal: AbortSignal): Promise<void> {
    let state = "one whose guest cannot tell whether it uses the disk";
    try {
      const agent = this.#agent.state === "ready" ? await this.#agent.client(signal) : undefined;
      const argv = ["sh", "-c", MOUNTED, "sh", driveSerial(drive)];
      const answer = await agent?.run(argv, { timeoutMs: ASK_MS, signal });
      if (answer?.status === 0) return;
      if (answer?.status === MOUNTED_STATUS) state = "one whose guest has the disk mounted";
    } catch {
      // It has no shell, or no time.
    }
    const wanted = "one whose guest does not use it, or force";
    throw hypervisorError("QZ_HYPERVISOR_VM_STATE", { state, operation: "detaching", wanted });
  }

  async #checkSnapshot(folder: string): Promise<void> {
    this.#checkDisks();
    try {
      await stat(join(folder, "machine.json"));
    } catch (cause) {
      const reason = "there is none, or it is not whole";
      throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT_FILE", { path: folder, reason }, { cause });
    }
  }

  /** A disk that is written to directly does not go back with its machine. */
  #checkDisks(): void {
    const drives = this.#guest?.drives ?? [];
    if (drives.some(({ loaded }) => loaded)) {
      const what = "a snapshot of a VM with a disk in a drive";
      throw hypervisorError("QZ_HYPERVISOR_UNSUPPORTED", { what, instead: "detach it first" });
    }
    if (this.#config.disks.every(({ mode }) => mode !== "direct")) return;
    const what = "a snapshot of a VM with a disk in the mode direct";
    throw hypervisorError("QZ_HYPERVISOR_UNSUPPORTED", { what, instead: "use the mode overlay" });
  }

  async #snapshot(folder: string, options: SaveMachineOptions): Promise<void> {
    const machine = this.#machine("snapshot");
    this.#checkDisks();
    await this.#checkSnapshotBytes();
    const running = machine.state === "running";
    // From here, too: one that was removed meanwhile must not come to be again.
    const place = relative(this.#folder.path, folder);
    const partial = `${place}.${process.pid}.partial`;
    await machine.pause();
    try {
      await mkdir(partial, { recursive: true, mode: 0o700 });
      await saveMachine(machine, partial, options);
      for (const [index, overlay] of this.#guest?.overlays ?? [])
        await saveVmDisk(overlay, HERE, partial, index);
      await rename(partial, place);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    } finally {
      if (running && machine.end === undefined) machine.start();
    }
  }

  /** @throws QZ_HYPERVISOR_VM_LIMIT where the snapshots could come to more than they may, with another one */
  async #checkSnapshotBytes(): Promise<void> {
    const limit = this.#config.limits.snapshotBytes;
    if (limit === undefined) return;
    const most = this.#config.machine.memoryMib * 2 ** 20 + (this.#guest?.quota.used ?? 0);
    if ((await bytesIn(SNAPSHOTS)) + most <= limit) return;
    const what = "the bytes that snapshots may take";
    throw hypervisorError("QZ_HYPERVISOR_VM_LIMIT", { what, limit });
  }

  #machine(operation: string) {
    const machine = this.#guest?.machine;
    if (machine && this.#end === undefined) return machine;
    throw hypervisorError("QZ_HYPERVISOR_VM_STATE", {
      state: this.#state,
      operation,
      wanted: "running or paused",
    });
  }

  #status(): VmStatus {
    return {
      id: this.#config.id,
      state: this.#state,
      pid: process.pid,
      startedAt: this.#startedAt,
      agent: this.#agent.state,
      consoles: this.#console.viewers,
      commands: this.#agent.running,
      persistent: this.#agent.persistent,
      end: this.#end,
    };
  }

  async #stats(): Promise<VmStats> {
    const { machine, balloon, network, quota, disks = [] } = this.#guest ?? {};
    const { user, system } = process.cpuUsage();
    const sum = (count: (disk: (typeof disks)[number]) => number): number =>
      disks.reduce((total, disk) => total + count(disk), 0);
    return {
      wallSeconds: process.uptime(),
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      privateBytes: await privateBytes(),
      guestSeconds: machine?.statistics.guestSeconds ?? 0,
      instructions: machine?.statistics.instructions ?? 0,
      memoryMib: this.#config.machine.memoryMib,
      cpus: this.#config.machine.cpus,
      balloonBytes: balloon?.actualBytes ?? 0,
      resets: machine?.statistics.resets ?? 0,
      diskBytes: quota?.used ?? 0,
      disk: {
        readBytes: sum(({ counters }) => counters.readBytes),
        writtenBytes: sum(({ counters }) => counters.writtenBytes),
        errors: sum(({ counters }) => counters.errors),
        throttled: sum(({ counters }) => counters.throttled),
      },
      ...(network && {
        network: {
          receivedBytes: network.counters.receivedBytes,
          sentBytes: network.counters.transmittedBytes,
          droppedFrames: network.counters.droppedFrames,
        },
      }),
      consoleBytes: this.#console.written,
    };
  }

  #change<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }

  async #finish(end: Pick<VmEnd, "reason" | "message">): Promise<void> {
    if (this.#end) return;
    this.#end = { ...end, at: new Date().toISOString() };
    const crashed = end.reason === "failure" || end.reason === "triple-fault";
    this.#deadlines?.stop();
    this.#agent.close();
    await this.#guest?.machine.stop();
    await this.#log.close();
    this.#state = crashed ? "crashed" : "stopped";
    // Who hears of the end finds it in the folder too.
    this.#saving = this.#saving.then(() => this.#save()).catch(() => undefined);
    await this.#saving;
    this.#tell({ type: "state", state: this.#state });
    this.#tell({ type: "end", end: this.#end });
    this.#tellEnd(this.#end);
    // Replies that wait for the end go first.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#server?.close();
  }

  #mayTell(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#toldSecond) this.#told = 0;
    this.#toldSecond = second;
    return ++this.#told <= MOST_EVENTS;
  }

  #setState(state: VmState): void {
    if (state === this.#state || this.#end) return;
    this.#state = state;
    this.#tell({ type: "state", state });
    this.#saving = this.#saving.then(() => this.#save()).catch(() => undefined);
  }

  async #save(): Promise<void> {
    const record = {
      version: 1,
      state: this.#state,
      run: this.#run,
      startedAt: this.#startedAt,
      end: isOver(this.#state) ? this.#end : undefined,
    };
    await replaceFile("state.json", JSON.stringify(record));
  }

  #tell(event: UntimedEvent): void {
    // What a guest can bring about as often as it likes must not drown those who listen.
    if ((event.type === "device-fault" || event.type === "reset") && !this.#mayTell()) return;
    this.#server?.tell({ ...event, at: Date.now() });
  }
}

function endOf(end: MachineEnd): Pick<VmEnd, "reason" | "message"> {
  switch (end.reason) {
    case "power-off":
    case "triple-fault":
    case "stopped":
      return { reason: end.reason };
    case "failure":
      return { reason: "failure", message: end.error.message };
    case "debug-exit":
    case "reset":
      return { reason: "power-off" };
  }
}

function isOver(state: VmState): boolean {
  return state === "stopped" || state === "crashed";
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return isQueztlError(error) ? `${message} (${error.code})` : message;
}
