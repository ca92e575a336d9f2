import { count, desc, gt } from "drizzle-orm";
import type { OutputOf } from "@queztl/api";
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import { vms } from "../database/schema.ts";
import { sortableId } from "../sortable-id.ts";
import type { Fleet } from "../vms/fleet.ts";
import type { TemplateSpec } from "../vms/vm-host.ts";
import { gainOf, hasNetwork, shapeOf, subjectOf } from "./effects.ts";

type Action = OutputOf<"brain.optimize">["actions"][number];

const DAY_MS = 24 * 3600 * 1000;
/** Sizes that were wanted in the last days are expected to be wanted again. */
const LOOK_BACK_DAYS = 7;
const LEAST_WANTED = 2;
const MOST_BUILT = 2;

/** Has templates for the sizes of VMs that are expected, and drops those that nobody wants. */
export class Templates {
  readonly #fleet: Fleet;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #building: Promise<void> | undefined;

  constructor(fleet: Fleet, settings: Settings, log: Logger) {
    this.#fleet = fleet;
    this.#settings = settings;
    this.#log = log;
  }

  /** Templates that are missing for what is wanted again and again, as actions yet to be done. */
  async find(now = Date.now()): Promise<Action[]> {
    const { host } = this.#fleet.parts;
    if (this.#building !== undefined) return [];
    const [wanted, there] = await Promise.all([this.#wanted(now), host.templates()]);
    return wanted
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
    if (actions.length === 0) return [];
    const { host } = this.#fleet.parts;
    const { signal } = this.#stop;
    this.#building = (async () => {
      for (const { subject } of actions) {
        const shape = shapeOf(subject);
        if (shape === undefined || signal.aborted) continue;
        await host.prepare(shape, { signal }).catch((error: unknown) => {
          if (!signal.aborted) this.#log.warn({ err: error, subject }, "a template was not built");
        });
      }
    })().finally(() => (this.#building = undefined));
    return actions.map((action) => ({ ...action, done: true }));
  }

  /** Drops templates that nothing was started from for long: each holds a guest's memory on disk. */
  async drop(): Promise<Action[]> {
    const days = this.#settings.get("optimize.templateDays");
    const dropped = await this.#fleet.parts.host.pruneTemplates(days * DAY_MS);
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

  /** The sizes that VMs were made in, those of which there were most first. */
  async #wanted(now: number): Promise<{ shape: TemplateSpec; vms: number }[]> {
    const { records, host } = this.#fleet.parts;
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
      .filter(({ cpu, memoryMib, vms }) => {
        const { sizes } = host;
        return (
          vms >= LEAST_WANTED && sizes.cpu.includes(cpu) && sizes.memoryMib.includes(memoryMib)
        );
      })
      .map(({ vms, ...shape }) => ({ shape, vms }));
  }
}

const sameShape = (a: TemplateSpec, b: TemplateSpec) => subjectOf(a) === subjectOf(b);

const wordsOf = ({ image, cpu, memoryMib, network }: TemplateSpec) =>
  `${image} with ${cpu} CPU and ${memoryMib} MiB${network ? " and a network" : ""}`;
