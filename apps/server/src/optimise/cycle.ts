import type { OutputOf } from "@queztl/api";
import type { Recommendation, ScoredRecommendation } from "@queztl/brain";
import { eq, isNull } from "drizzle-orm";
import type { Logger } from "pino";
import type { BrainHost } from "../brain/brain-host.ts";
import type { Settings } from "../config/settings.ts";
import type { Records } from "../database/database.ts";
import { actions } from "../database/schema.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Files } from "../files/files.ts";
import type { Fleet } from "../vms/fleet.ts";
import { sortableId } from "../sortable-id.ts";
import type { IdleVms } from "./idle-vms.ts";
import type { Standby } from "./standby.ts";

type Optimisation = OutputOf<"brain.optimize">;
type Action = Optimisation["actions"][number];

/** What the optimisation cycle works on. */
export interface CycleParts {
  readonly records: Records;
  readonly brain: BrainHost;
  readonly fleet: Fleet;
  readonly idle: IdleVms;
  readonly standby: Standby;
  readonly files: Files;
  readonly events: EventLog;
  readonly settings: Settings;
  readonly log: Logger;
}

const DAY_MS = 24 * 3600 * 1000;
const MOST_SHOWN = 500;

/**
 * Every so often: saves what the brain has learned, does what it advises and what idle VMs allow, and writes each action
 * down with its reason, and later with what it gained.
 */
export class OptimisationCycle {
  readonly #parts: CycleParts;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Optimisation> | undefined;

  constructor(parts: CycleParts) {
    this.#parts = parts;
    parts.settings.watch((key) => {
      if (key === "optimize.everySeconds" && this.#timer !== undefined) this.start();
    });
  }

  start(): void {
    clearInterval(this.#timer);
    const { settings, log } = this.#parts;
    this.#timer = setInterval(
      () => {
        this.run({ dryRun: !settings.get("optimize.apply") }).catch((error: unknown) => {
          log.error({ err: error }, "the optimisation cycle failed");
        });
      },
      settings.get("optimize.everySeconds") * 1000,
    );
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running?.catch(() => undefined);
  }

  /** One round; a second one at the same time is the same. */
  run({ dryRun }: { dryRun: boolean }): Promise<Optimisation> {
    this.#running ??= this.#round(dryRun).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #round(dryRun: boolean): Promise<Optimisation> {
    const { brain, idle, standby, settings, files, events } = this.#parts;
    const at = new Date();
    const { recommendations, scored } = brain.brain.optimize();
    const advised = recommendations.flatMap((each) => actionsOf(each));
    const standing = standby.find(recommendations);
    const found = await idle.find(settings.get("optimize.idleVmMinutes") * 60_000);
    const possible = [...standing, ...found, ...advised];
    if (dryRun) return { at: at.toISOString(), actions: possible.slice(0, MOST_SHOWN) };
    await this.#judge(scored);
    const done = standing.map((action) => standby.act(action));
    for (const action of found) done.push(await idle.act(action));
    done.push(...(await this.#dropTemplates()));
    for (const action of [...done, ...advised]) await this.#keep(action, at);
    await files.sweep(at);
    await events.prune(new Date(at.getTime() - settings.get("events.keepDays") * DAY_MS));
    await brain.flush();
    return { at: at.toISOString(), actions: [...done, ...advised].slice(0, MOST_SHOWN) };
  }

  /** Drops templates that nothing is started from any more: each holds a guest's memory on disk. */
  async #dropTemplates(): Promise<Action[]> {
    const { fleet, settings } = this.#parts;
    const days = settings.get("optimize.templateDays");
    const dropped = await fleet.parts.host.pruneTemplates(days * DAY_MS);
    return dropped.map(({ image, cpu, memoryMib }) => ({
      id: sortableId("action"),
      kind: "template-drop",
      subject: image,
      value: memoryMib,
      reason: `nothing was started from ${image} with ${cpu} CPU and ${memoryMib} MiB for ${days} days`,
      expectedGain: 0,
      realisedGain: 0,
      done: true,
    }));
  }

  async #keep(action: Action, at: Date): Promise<void> {
    const { records, events } = this.#parts;
    await records
      .insert(actions)
      .values({ ...action, at })
      .onConflictDoNothing();
    if (!action.done) return;
    await events.record({
      type: "brain.optimised",
      subject: action.subject,
      message: action.reason,
      details: { kind: action.kind, value: action.value, gain: action.realisedGain ?? 0 },
    });
  }

  /** Notes what earlier advice has really gained. */
  async #judge(scored: readonly ScoredRecommendation[]): Promise<void> {
    const { records } = this.#parts;
    const open = await records
      .select({ id: actions.id })
      .from(actions)
      .where(isNull(actions.realisedGain));
    const waiting = new Set(open.map(({ id }) => id));
    for (const { id, realisedGain } of scored) {
      if (waiting.has(id))
        await records.update(actions).set({ realisedGain }).where(eq(actions.id, id));
    }
  }
}

/** Advice as actions: one for each class it names. */
function actionsOf(advice: Recommendation): Action[] {
  const { id, kind, sizeClass, value, expectedGain, reason } = advice;
  const common = { kind, expectedGain, reason, realisedGain: null, done: false };
  if (typeof value === "number") return [{ ...common, id, subject: sizeClass, value }];
  return value.map((mib, index) => ({
    ...common,
    id: `${id}/${index}`,
    subject: `${sizeClass}-${index}`,
    value: mib,
  }));
}
