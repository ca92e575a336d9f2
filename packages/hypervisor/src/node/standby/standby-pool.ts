import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { queztlHome } from "@queztl/images/node";
import { hypervisorError } from "../../errors.ts";
import { TemplateStore } from "../template/template-store.ts";
import type { TemplateRecipe } from "../template/template-store.ts";
import { shareTemplate, vmTemplateRecipe } from "../template/vm-template.ts";
import { configure } from "../vm/create-folder.ts";
import { spawnMonitor } from "../vm/monitor-program.ts";
import { ORIGIN } from "../vm/origin.ts";
import { identify } from "../vm/process-identity.ts";
import type { VmConfig } from "../vm/vm-config.ts";
import type { VmOptions } from "../vm/vm-options.ts";
import { LOG, OWNER, READY, WARMING, standbyName, standbysFolder } from "./standby-folder.ts";

/** What processes stand by for, and how many. */
export interface StandbyOptions extends Pick<
  VmOptions,
  "image" | "memoryMib" | "cpus" | "network" | "home" | "images" | "signal" | "onProgress"
> {
  /** How many processes stand by, 1 to 64; default 2. */
  readonly size?: number;
}

interface Standby {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  ready: boolean;
}

const MOST = 64;
/** How long the next try waits after one that failed, and after more of them. */
const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

/**
 * Keeps processes ready to be monitors, each with a machine of a template that has run commands and stands still. A VM
 * that is made of that template in the same home goes on with such a machine, its guest's programs in memory and
 * translated; other VMs, forks too, get the process at least, which saves them the second of processor time that a new
 * one takes. Another is made ready then, one at a time. They end when the pool is closed and when its process does.
 */
export class StandbyPool implements AsyncDisposable {
  readonly #home: string;
  readonly #size: number;
  readonly #config: VmConfig;
  readonly #recipe: TemplateRecipe;
  readonly #standbys = new Set<Standby>();
  #timer: NodeJS.Timeout | undefined;
  #starting: Promise<void> = Promise.resolve();
  #failures = 0;
  #closed = false;
  #onChange: () => void = () => undefined;

  private constructor(home: string, size: number, config: VmConfig, recipe: TemplateRecipe) {
    this.#home = home;
    this.#size = size;
    this.#config = config;
    this.#recipe = recipe;
  }

  /**
   * Begins to make processes ready; builds the template that they run for it where there is none.
   * @throws QZ_HYPERVISOR_OPTIONS for a size of VM that has no templates; as `Vm.create`
   */
  static async open(options: StandbyOptions = {}): Promise<StandbyPool> {
    const { home = queztlHome(), size = 2, signal, onProgress } = options;
    const bad = (option: string, value: string, expected: string) =>
      hypervisorError("QZ_HYPERVISOR_OPTIONS", { option, value, expected });
    if (!(Number.isInteger(size) && size >= 1 && size <= MOST))
      throw bad("size", String(size), `give a whole number from 1 to ${MOST}`);
    const { config, image } = await configure({ ...options, id: "standby" });
    const recipe = vmTemplateRecipe(config, image);
    if (!recipe) throw bad("the VM", "this size", "give one of TEMPLATE_SIZES");
    const pool = new StandbyPool(home, size, config, recipe);
    await new TemplateStore(home).ensure(recipe, {
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    });
    pool.#fill();
    return pool;
  }

  /** Processes that are ready now. */
  get ready(): number {
    return [...this.#standbys].filter(({ ready }) => ready).length;
  }

  /** Resolves when as many are ready as there should be, or the pool is closed. */
  async whenReady(): Promise<void> {
    const alive = keepProcess();
    while (!this.#closed && this.ready < this.#size)
      await new Promise<void>((resolve) => (this.#onChange = resolve));
    clearInterval(alive);
  }

  /** Ends all processes that stand by; those that VMs took go on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#starting;
    const standbys = [...this.#standbys];
    const alive = keepProcess();
    for (const { name, child, ready } of standbys) {
      // One that is being taken just now must not be killed: it looks for its folder.
      if (!ready) child.kill("SIGKILL");
      for (const state of [WARMING, READY])
        await rm(join(standbysFolder(this.#home), `${state}-${name}`), { recursive: true, force: true }); // prettier-ignore
    }
    await Promise.all(standbys.map(({ ended }) => ended));
    clearInterval(alive);
    this.#onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fill(): void {
    const waiting = [...this.#standbys].some(({ ready }) => !ready);
    if (this.#closed || waiting || this.#standbys.size >= this.#size) return;
    this.#starting = this.#starting.then(() => this.#start()).catch(() => this.#failed());
  }

  #failed(): void {
    const ms = Math.min(RETRY_MS * 2 ** this.#failures++, LONGEST_RETRY_MS);
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.#fill(), ms).unref();
  }

  async #start(): Promise<void> {
    if (this.#closed || this.#standbys.size >= this.#size) return;
    // It may have been pruned.
    const template = await new TemplateStore(this.#home).ensure(this.#recipe);
    const name = standbyName(template.id, randomUUID());
    const folder = join(standbysFolder(this.#home), `${WARMING}-${name}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const origin = { snapshot: ORIGIN, newIdentity: false, template: template.id };
    const config = { ...this.#config, origin };
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await writeFile(join(folder, OWNER), JSON.stringify(await identify(process.pid)));
    await shareTemplate(template, join(folder, ORIGIN));
    const log = openSync(join(folder, LOG), "a", 0o600);
    try {
      const child = spawnMonitor(this.#home, ["--standby", folder], { cwd: folder, log });
      this.#follow(name, folder, child);
    } finally {
      closeSync(log);
    }
  }

  #follow(name: string, folder: string, child: ChildProcess): void {
    const said = child.stdio[3] as Readable;
    let tellEnd: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (tellEnd = resolve));
    const standby: Standby = { name, child, ended, ready: false };
    this.#standbys.add(standby);
    const gone = (): void => {
      if (!this.#standbys.delete(standby)) return;
      tellEnd();
      if (standby.ready) this.#fill();
      else {
        void rm(folder, { recursive: true, force: true });
        this.#failed();
      }
      this.#onChange();
    };
    child.once("error", gone);
    said.setEncoding("utf8").on("data", (text: string) => {
      if (text.startsWith("ready")) {
        standby.ready = true;
        this.#failures = 0;
        this.#fill();
        this.#onChange();
      }
      // Of a VM from now on. One that says "over" is there until it has ended.
      if (text.includes("taken")) gone();
    });
    said.once("error", () => undefined);
    child.once("exit", gone);
    // Alone it keeps no process alive.
    child.unref();
    (said as Readable & { unref?: () => void }).unref?.();
  }
}

/** The processes that stand by do not keep this one from ending, no more than VMs do; waiting for them does. */
function keepProcess(): NodeJS.Timeout {
  return setInterval(() => undefined, LONGEST_RETRY_MS);
}
