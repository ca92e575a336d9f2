import { count, desc, gt } from "drizzle-orm";
import type { OutputOf } from "@queztl/api";
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import type { Records } from "../database/database.ts";
import { vms } from "../database/schema.ts";
import type { Amount } from "../nodes/capacity.ts";
import { sortableId } from "../sortable-id.ts";
import type { TemplateSpec, VmHost } from "../vms/vm-host.ts";
import { gainOf, hasNetwork, shapeOf, subjectOf } from "./effects.ts";

type Action = OutputOf<"brain.optimize">["actions"][number];

const DAY_MS = 24 * 3600 * 1000;
/** Sizes that were wanted in the last days are expected to be wanted again. */
const LOOK_BACK_DAYS = 7;
const LEAST_WANTED = 2;
const MOST_BUILT = 2;
/** A larger template is used in place of the right one while it is no larger than this. */
const MOST_TIMES_LARGER = 4;

/** What the templates need of the server. */
export interface TemplatesParts {
  readonly host: VmHost;
  readonly records: Records;
  readonly settings: Settings;
  readonly log: Logger;
}

/** Has templates for the sizes of VMs that are expected, and drops those that nobody wants. */
export class Templates {
  readonly #parts: TemplatesParts;
  readonly #stop = new AbortController();
  readonly #asked = new Set<string>();
  #building: Promise<void> = Promise.resolve();

  constructor(parts: TemplatesParts) {
    this.#parts = parts;
  }

  /**
   * The size to make a VM in: where there is no template of the wanted one and there is a larger one, that; the wanted one is
   * built meanwhile, so that nobody waits for it.
   * @param mostMib what the VM may have at most
   */
  async sizeLike(wanted: TemplateSpec, mostMib: number): Promise<Amount> {
    const { host } = this.#parts;
    const { cpu, memoryMib } = wanted;
    if (!isKept(host, wanted)) return { cpu, memoryMib };
    const there = await host.templates();
    const most = Math.min(mostMib, memoryMib * MOST_TIMES_LARGER);
    const [best] = there
      .filter(({ image, network }) => image === wanted.image && network === wanted.network)
      .filter((each) => each.cpu === cpu && each.memoryMib >= memoryMib && each.memoryMib <= most)
      .sort((a, b) => a.memoryMib - b.memoryMib);
    if (best === undefined || best.memoryMib === memoryMib) return { cpu, memoryMib };
    this.#build(wanted);
    return { cpu, memoryMib: best.memoryMib };
  }

  /** Templates that are missing for what is wanted again and again, as actions yet to be done. */
  async find(now = Date.now()): Promise<Action[]> {
    const { host } = this.#parts;
    const [wanted, there] = await Promise.all([this.#wanted(now), host.templates()]);
    return wanted
      .filter(({ shape }) => !this.#asked.has(subjectOf(shape)))
      .filter(({ shape }) => !there.some((each) => sameShape(each, shape)))
      .slice(0, MOST_BUILT)
      .map(({ shape, vms }) => ({
        id: sortableId("action"),
        kind: "template-build",
        subject: subjectOf(shape),
        value: shape.memoryMib,
        reason: `${vms} VMs of ${wordsOf(shape)} were made in ${LOOK_BACK_DAYS} days, and there is no template of it`,
        expectedGain: gainOf(vms / LOOK_BACK_DAYS / 24),
        realisedGain: null,
        done: false,
      }));
  }

  /** Builds one after the other. That takes a boot each, so it goes on by itself. */
  act(actions: readonly Action[]): Action[] {
    for (const { subject } of actions) {
      const shape = shapeOf(subject);
      if (shape !== undefined) this.#build(shape);
    }
    return actions.map((action) => ({ ...action, done: true }));
  }

  /** Drops templates that nothing was started from for long: each holds a guest's memory on disk. */
  async drop(): Promise<Action[]> {
    const days = this.#parts.settings.get("optimize.templateDays");
    const dropped = await this.#parts.host.pruneTemplates(days * DAY_MS);
    return dropped.map((shape) => ({
      id: sortableId("action"),
      kind: "template-drop",
      subject: subjectOf(shape),
      value: shape.memoryMib,
      reason: `nothing was started from ${wordsOf(shape)} for ${days} days`,
      expectedGain: 0,
      realisedGain: null,
      done: true,
    }));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#building;
  }

  #build(shape: TemplateSpec): void {
    const subject = subjectOf(shape);
    if (this.#asked.has(subject)) return;
    this.#asked.add(subject);
    const { host, log } = this.#parts;
    const { signal } = this.#stop;
    this.#building = this.#building
      .then(() => (signal.aborted ? undefined : host.prepare(shape, { signal })))
      .catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error, subject }, "a template was not built");
      })
      .finally(() => this.#asked.delete(subject));
  }

  /** The sizes that VMs were made in, those of which there were most first. */
  async #wanted(now: number): Promise<{ shape: TemplateSpec; vms: number }[]> {
    const { records, host } = this.#parts;
    const made = count();
    const network = hasNetwork();
    const rows = await records
      .select({ image: vms.image, cpu: vms.cpu, memoryMib: vms.memoryMib, network, vms: made })
      .from(vms)
      .where(gt(vms.createdAt, new Date(now - LOOK_BACK_DAYS * DAY_MS)))
      .groupBy(vms.image, vms.cpu, vms.memoryMib, network)
      .orderBy(desc(made))
      .limit(100);
    return rows
      .filter((row) => row.vms >= LEAST_WANTED && isKept(host, row))
      .map(({ vms, ...shape }) => ({ shape, vms }));
  }
}

/** Whether templates of a size are kept at all. */
const isKept = ({ sizes }: VmHost, { cpu, memoryMib }: Amount) =>
  sizes.cpu.includes(cpu) && sizes.memoryMib.includes(memoryMib);

const sameShape = (a: TemplateSpec, b: TemplateSpec) => subjectOf(a) === subjectOf(b);

const wordsOf = ({ image, cpu, memoryMib, network }: TemplateSpec) =>
  `${image} with ${cpu} CPU and ${memoryMib} MiB${network ? " and a network" : ""}`;
