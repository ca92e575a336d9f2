import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isQueztlError } from "@queztl/errors";
import { queztlHome } from "@queztl/images/node";
import { AgentClient } from "../../agent/client.ts";
import type { AgentCommand, CommandTerminal, ExecOptions } from "../../agent/command.ts";
import type { CopyInOptions, CopyOutOptions, CopyResult } from "../../agent/files.ts";
import type { RunOptions, RunResult } from "../../agent/run.ts";
import type { GuestStatistics } from "../../agent/statistics.ts";
import { hypervisorError } from "../../errors.ts";
import { copyFromGuest, copyIntoGuest } from "../agent-files.ts";
import type { CopyOutResult } from "../agent-files.ts";
import { socketChannel } from "../socket-channel.ts";
import { vmTemplateRecipe } from "../template/vm-template.ts";
import { ControlClient } from "./control-client.ts";
import { configure, createFolder } from "./create-folder.ts";
import { destroyVm, sweepVms } from "./destroy.ts";
import { inspectVm, readConfig } from "./inspect.ts";
import type { VmSummary } from "./inspect.ts";
import { launchMonitor } from "./launch.ts";
import { ORIGIN, createFromTemplate, forkConfig } from "./origin.ts";
import type { ForkOptions } from "./origin.ts";
import type { Operation, ParamsOf, ResultOf, VmEvent, VmStats, VmStatus } from "./protocol.ts";
import type { VmEnd } from "./vm-config.ts";
import { VmFolder, vmIds } from "./vm-folder.ts";
import { VmConsole } from "./vm-console.ts";
import type { ConsoleOptions } from "./vm-console.ts";
import type { VmOptions } from "./vm-options.ts";

/** Where VMs are, and how a call is given up. */
export interface VmHome {
  /** QUEZTL_HOME; default that of the environment. */
  readonly home?: string;
}

/** How long a guest may take to shut down before its plug is pulled. */
const GRACE_MS = 15_000;
/** How long a monitor may take to go once its VM has ended. */
const GOING_MS = 10_000;
/** How long the first boot may take until the agent answers. */
const BOOT_MS = 600_000;
const POLL_MS = 20;

/**
 * A virtual machine in a process of its own, its monitor, which outlives this one. What is here is a handle to it:
 * several, in several processes, can be used at once.
 *
 * Every method that needs the monitor may throw QZ_HYPERVISOR_VM_LOST when it is gone, and QZ_HYPERVISOR_VM_STATE when
 * the VM is in no state for it; what runs in the guest throws the codes of `AgentClient`.
 */
export class Vm implements AsyncDisposable {
  readonly id: string;
  readonly home: string;
  readonly #folder: VmFolder;
  /** Whether this handle made the VM, and takes it with it when it is disposed of. */
  readonly #own: boolean;
  #control: Promise<ControlClient> | undefined;
  #agent: Promise<AgentClient> | undefined;

  private constructor(folder: VmFolder, home: string, own: boolean) {
    this.id = folder.id;
    this.home = home;
    this.#folder = folder;
    this.#own = own;
  }

  /**
   * Makes a VM and starts it; resolves when its monitor runs: `exec` and the like wait for the guest. The first VM of an
   * image and size is booted to make a template, which takes a while; others go on from that, each with an identity
   * and random numbers of its own. With `await using` it is destroyed at the end of the block.
   * @throws QZ_HYPERVISOR_OPTIONS, QZ_HYPERVISOR_VM_EXISTS, QZ_HYPERVISOR_VM_START, QZ_HYPERVISOR_TEMPLATE, QZ_IMAGES_…
   */
  static async create(options: VmOptions = {}): Promise<Vm> {
    const { home = queztlHome(), signal } = options;
    await sweepVms(home);
    const { config, image } = await configure(options);
    signal?.throwIfAborted();
    const recipe = options.template === false ? undefined : vmTemplateRecipe(config, image);
    const { folder, template } = recipe
      ? await createFromTemplate(home, config, recipe, options)
      : { folder: await createFolder(home, config), template: undefined };
    return await Vm.#launch(home, folder, signal, template);
  }

  /**
   * Makes another VM that goes on from where this one is, with its memory and disks, and an identity and random numbers
   * of its own. This one stands still for a moment. What is the same in both is held once. Commands that run in it end
   * in the new one, except those with `persist`.
   * @throws QZ_HYPERVISOR_UNSUPPORTED for a VM with a disk in the mode `direct`; as `create`
   */
  async fork(options: ForkOptions = {}): Promise<Vm> {
    const config = forkConfig(await readConfig(this.#folder), options);
    const folder = await createFolder(this.home, config, async (path) => {
      const place = join(resolve(path), ORIGIN);
      await this.#call("snapshot", { folder: place, share: true, durable: false });
    });
    return await Vm.#launch(this.home, folder, options.signal);
  }

  static async #launch(
    home: string,
    folder: VmFolder,
    signal: AbortSignal | undefined,
    template?: string,
  ): Promise<Vm> {
    try {
      signal?.throwIfAborted();
      await launchMonitor(folder, template);
      signal?.throwIfAborted();
      return new Vm(folder, home, true);
    } catch (error) {
      await destroyVm(home, folder).catch(() => undefined);
      throw error;
    }
  }

  /** A VM that is there, whoever made it, running or not. @throws QZ_HYPERVISOR_VM_UNKNOWN */
  static async open(id: string, options: VmHome = {}): Promise<Vm> {
    const { home = queztlHome() } = options;
    const folder = new VmFolder(home, id);
    await readConfig(folder);
    return new Vm(folder, home, false);
  }

  /**
   * All VMs, by id; those whose monitor was killed, or whose folder is damaged, are "crashed". No monitor is asked.
   */
  static async list(options: VmHome = {}): Promise<VmSummary[]> {
    const { home = queztlHome() } = options;
    await sweepVms(home);
    const summaries: VmSummary[] = [];
    for (const id of await vmIds(home)) {
      try {
        summaries.push(await inspectVm(new VmFolder(home, id)));
      } catch (error) {
        if (isQueztlError(error, "QZ_HYPERVISOR_VM_FOLDER"))
          summaries.push(damaged(home, id, error));
        // Or it was removed meanwhile.
        else if (!isQueztlError(error, "QZ_HYPERVISOR_VM_UNKNOWN")) throw error;
      }
    }
    return summaries;
  }

  /** Ends a VM at once and removes all that is left of it. @throws QZ_HYPERVISOR_VM_UNKNOWN */
  static async destroy(id: string, options: VmHome = {}): Promise<void> {
    const { home = queztlHome() } = options;
    await destroyVm(home, new VmFolder(home, id));
  }

  /** What its folder tells, without asking its monitor. @throws QZ_HYPERVISOR_VM_UNKNOWN once it was destroyed */
  async inspect(): Promise<VmSummary> {
    return await inspectVm(this.#folder);
  }

  /** What its monitor says of it now. */
  async status(): Promise<VmStatus> {
    return await this.#call("status", {});
  }

  /** What it uses of its host, and did so far. */
  async stats(): Promise<VmStats> {
    return await this.#call("stats", {});
  }

  /** What the guest says of itself; waits for its agent. */
  async guestStats(options: { readonly signal?: AbortSignal } = {}): Promise<GuestStatistics> {
    return await (await this.#agentClient()).stats(options);
  }

  /** Boots a VM that has stopped or crashed, with its disks as they are. @throws QZ_HYPERVISOR_VM_START */
  async start(): Promise<void> {
    this.#forget();
    await this.#formerGone();
    await launchMonitor(this.#folder);
  }

  /** A monitor tells of its VM's end a moment before its process has gone, which must be over first. */
  async #formerGone(): Promise<void> {
    for (const until = performance.now() + GOING_MS; performance.now() < until;) {
      const { end, pid } = await this.inspect();
      if (end === undefined || pid === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Has it stand still. It uses no processor time then. */
  async pause(): Promise<void> {
    await this.#call("pause", {});
  }

  /** Has it go on after `pause`; the time between has passed for the guest as in a sleep. */
  async resume(): Promise<void> {
    await this.#call("resume", {});
  }

  /** Presses the reset button. */
  async reset(): Promise<void> {
    await this.#call("reset", {});
  }

  /**
   * Presses the power button, waits for the guest to shut down, and pulls the plug when it has not after `graceMs`
   * (default 15,000; 0 pulls at once). Its folder stays, for `start` or `destroy`.
   */
  async stop(options: { readonly graceMs?: number } = {}): Promise<VmEnd> {
    const { state, end } = await this.inspect();
    if (end && (state === "stopped" || state === "crashed")) return end;
    try {
      return await this.#call("stop", { graceMs: options.graceMs ?? GRACE_MS });
    } catch (error) {
      const over = (await this.inspect()).end;
      if (over) return over;
      throw error;
    }
  }

  /** Resolves with how it ended, when it has. */
  async ended(options: { readonly signal?: AbortSignal } = {}): Promise<VmEnd> {
    const { signal } = options;
    for (;;) {
      const { end } = await this.inspect();
      if (end) return end;
      try {
        for await (const event of this.events(options)) if (event.type === "end") return event.end;
      } catch (error) {
        if (!isQueztlError(error, "QZ_HYPERVISOR_VM_LOST")) throw error;
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  /** Ends it at once and removes all that is left of it. */
  async destroy(): Promise<void> {
    this.#forget();
    await destroyVm(this.home, this.#folder);
  }

  /**
   * Runs a command in the guest to its end, without a shell, and resolves with all it wrote and what it used. Exit
   * statuses are results, not errors. Waits for a guest that still boots. With `attach` it is a command that waits in the
   * guest: "python" of the image `python` runs the program that it is given as input, NumPy and SciPy imported before.
   */
  async exec(
    what: readonly string[] | { readonly attach: string },
    options: RunOptions = {},
  ): Promise<RunResult> {
    return await (await this.#agentClient(options.signal)).run(what, options);
  }

  /**
   * Starts a command with streams. It is killed when this handle is closed or its process ends; with `persist` it goes on,
   * for `attach`.
   */
  async spawn(argv: readonly string[], options: ExecOptions = {}): Promise<AgentCommand> {
    return (await this.#agentClient(options.signal)).exec(argv, options);
  }

  /**
   * Takes over a command that was started with `persist` and whose handle is gone, in this process or another, with what it
   * wrote since; one that has ended meanwhile gives its end once.
   */
  async attach(
    name: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AgentCommand> {
    return (await this.#agentClient(options.signal)).attach(name, options);
  }

  /** Copies a file, or all that is in a folder, of this computer into a folder of the guest. */
  async copyIn(
    hostPath: string,
    guestFolder: string,
    options?: CopyInOptions,
  ): Promise<CopyResult> {
    return await copyIntoGuest(
      await this.#agentClient(options?.signal),
      hostPath,
      guestFolder,
      options,
    );
  }

  /** Copies a file, or all that is in a folder, of the guest into a folder of this computer; bounded by `options`. */
  async copyOut(
    guestPath: string,
    hostFolder: string,
    options?: CopyOutOptions,
  ): Promise<CopyOutResult> {
    return await copyFromGuest(
      await this.#agentClient(options?.signal),
      guestPath,
      hostFolder,
      options,
    );
  }

  /** The guest's agent, for all else that it can do; it is this handle's, and closed with it. */
  async agent(options: { readonly signal?: AbortSignal } = {}): Promise<AgentClient> {
    return await this.#agentClient(options.signal);
  }

  /** The guest's console: the last bytes, then what comes. Several may be open, here and in other processes. */
  async console(options: ConsoleOptions = {}): Promise<VmConsole> {
    const { scrollBackBytes = 256 * 1024, input = true } = options;
    const params = { scrollBackBytes, input };
    return new VmConsole(await ControlClient.stream(this.#folder, "console", params));
  }

  /** Tells programs at the console the size of the terminal it is shown in. */
  async resizeConsole(size: CommandTerminal): Promise<void> {
    await this.#call("resizeConsole", { ...size });
  }

  /**
   * Its state, and then what happens to it; ends with the VM, its last event then "end".
   * @throws QZ_HYPERVISOR_VM_LOST at first
   */
  async *events(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<VmEvent, void> {
    const client = await ControlClient.connect(this.#folder);
    const { signal } = options;
    const queue: VmEvent[] = [];
    let wake: () => void = () => undefined;
    let open = true;
    client.onEvent = (event) => {
      queue.push(event);
      wake();
    };
    const close = (): void => {
      open = false;
      wake();
    };
    void client.closed.then(close);
    signal?.addEventListener("abort", close);
    let ended = false;
    try {
      await client.call("subscribe", {});
      const { state } = await client.call("status", {});
      queue.unshift({ type: "state", at: Date.now(), state });
      for (;;) {
        const event = queue.shift();
        if (event) {
          ended ||= event.type === "end";
          yield event;
        } else if (signal?.aborted) {
          throw hypervisorError("QZ_HYPERVISOR_VM_CANCELLED", { what: "waiting for events" });
        } else if (!open) break;
        else await new Promise<void>((resolveWake) => (wake = resolveWake));
      }
      if (ended) return;
      const { end } = await this.inspect();
      if (end) yield { type: "end", at: Date.now(), end };
    } finally {
      signal?.removeEventListener("abort", close);
      client.close();
    }
  }

  /**
   * Saves the whole machine, memory and disks, under a name. It stands still meanwhile.
   * @throws QZ_HYPERVISOR_SNAPSHOT_FILE
   */
  async snapshot(name: string): Promise<void> {
    await this.#call("snapshot", { folder: resolve(this.#folder.snapshot(name)) });
  }

  /** Puts the machine back to where a snapshot was taken; what happened since is lost. */
  async restore(name: string): Promise<void> {
    await this.#closeAgent();
    await this.#call("restore", { folder: resolve(this.#folder.snapshot(name)) });
  }

  /** Removes a snapshot. */
  async removeSnapshot(name: string): Promise<void> {
    await rm(this.#folder.snapshot(name), { recursive: true, force: true });
  }

  /** Asks the guest to give so many bytes of its memory back to the host. */
  async balloon(bytes: number): Promise<void> {
    await this.#call("balloon", { bytes });
  }

  /**
   * Puts a raw file of this computer into an empty drive (`VmOptions.drives`, from 0) of a running VM, until it is taken out
   * or the VM ends. The guest finds it by its serial number, `queztl-drive-0`. No other VM may write to it then.
   * @throws QZ_VIRTIO_DISK_IO for a file that cannot be opened
   */
  async attachDisk(
    drive: number,
    path: string,
    options: { readonly readOnly?: boolean } = {},
  ): Promise<void> {
    const { readOnly = false } = options;
    await this.#call("attachDisk", { drive, path: resolve(path), readOnly });
  }

  /**
   * Takes the disk out of a drive, when all that the guest wrote is durable. Refused while the guest has it mounted, or cannot
   * tell, unless with `force`, which for the guest is a disk that was pulled.
   */
  async detachDisk(drive: number, options: { readonly force?: boolean } = {}): Promise<void> {
    await this.#call("detachDisk", { drive, force: options.force ?? false });
  }

  /** Lets go of the VM, which goes on; commands that this handle started end. */
  async close(): Promise<void> {
    await this.#closeAgent();
    this.#forget();
  }

  /** Destroys the VM if this handle made it; else as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    if (!this.#own) return;
    try {
      await this.destroy();
    } catch (error) {
      if (!isQueztlError(error, "QZ_HYPERVISOR_VM_UNKNOWN")) throw error;
    }
  }

  async #closeAgent(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await (await agent?.catch(() => undefined))?.close();
  }

  #forget(): void {
    void this.#control?.then((client) => client.close()).catch(() => undefined);
    this.#control = undefined;
    this.#agent = undefined;
  }

  async #call<Name extends Operation>(name: Name, params: ParamsOf<Name>): Promise<ResultOf<Name>> {
    return await (await this.#controlClient()).call(name, params);
  }

  #controlClient(): Promise<ControlClient> {
    if (this.#control) return this.#control;
    const connecting = this.#connect();
    const forget = (): void => {
      if (this.#control === connecting) this.#control = undefined;
    };
    connecting.then((client) => client.closed.then(forget), forget);
    return (this.#control = connecting);
  }

  async #connect(): Promise<ControlClient> {
    try {
      const client = await ControlClient.connect(this.#folder);
      // An open handle alone keeps no process alive.
      client.unref();
      return client;
    } catch (error) {
      const { state } = await this.inspect();
      if (state !== "stopped" && state !== "crashed") throw error;
      throw hypervisorError(
        "QZ_HYPERVISOR_VM_STATE",
        { state, operation: "this", wanted: "running" },
        { cause: error },
      );
    }
  }

  #agentClient(signal?: AbortSignal): Promise<AgentClient> {
    if (this.#agent) return this.#agent;
    const connecting = this.#connectAgent(signal);
    const forget = (): void => {
      if (this.#agent === connecting) this.#agent = undefined;
    };
    connecting.then((client) => client.closed.then(forget), forget);
    return (this.#agent = connecting);
  }

  async #connectAgent(signal: AbortSignal | undefined): Promise<AgentClient> {
    await this.#controlClient();
    const socket = await ControlClient.stream(this.#folder, "agent", {});
    return await AgentClient.connect(socketChannel(socket), {
      timeoutMs: BOOT_MS,
      ...(signal && { signal }),
    });
  }
}

/** A VM whose files cannot be read hides no others, and can be destroyed. */
function damaged(home: string, id: string, error: Error): VmSummary {
  return {
    id,
    state: "crashed",
    folder: new VmFolder(home, id).path,
    pid: undefined,
    end: { reason: "failure", message: error.message },
    image: undefined,
    labels: {},
    createdAt: new Date(0).toISOString(),
    memoryMib: 0,
    cpus: 0,
  };
}
