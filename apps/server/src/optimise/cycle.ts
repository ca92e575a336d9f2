import type { OutputOf } from "@queztl/api";
import type { Recommendation, ScoredRecommendation } from "@queztl/brain";
import { and, eq, isNull } from "drizzle-orm";
import type { Logger } from "pino";
import type { BrainHost } from "../brain/brain-host.ts";
import type { Settings } from "../config/settings.ts";
import type { Records } from "../database/database.ts";
import { actions } from "../database/schema.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Files } from "../files/files.ts";
import { judgeActions } from "./effects.ts";
import type { IdleVms } from "./idle-vms.ts";
import type { Standby } from "./standby.ts";
import type { Templates } from "./templates.ts";

type Optimisation = OutputOf<"brain.optimize">;
type Action = Optimisation["actions"][number];

/** What the optimisation cycle works on. */
export interface CycleParts {
  readonly records: Records;
  readonly brain: BrainHost;
  readonly idle: IdleVms;
  readonly standby: Standby;
  readonly templates: Templates;
  readonly files: Files;
  readonly events: EventLog;
  readonly settings: Settings;
  readonly log: Logger;
}

const DAY_MS = 24 * 3600 * 1000;
const MOST_SHOWN = 500;
const FIRST_MS = 10_000;

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
    const everyMs = settings.get("optimize.everySeconds") * 1000;
    const round = () => {
      this.run({ dryRun: !settings.get("optimize.apply") }).catch((error: unknown) => {
        log.error({ err: error }, "the optimisation cycle failed");
      });
    };
    // The first one soon: what is to stand by stands by when the first VMs are wanted.
    this.#timer = setTimeout(
      () => {
        this.#timer = setInterval(round, everyMs);
        round();
      },
      Math.min(FIRST_MS, everyMs),
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
    const { brain, idle, standby, templates, settings, files, events, records } = this.#parts;
    const at = new Date();
    const { recommendations, scored } = brain.brain.optimize();
    const advised = recommendations.flatMap((each) => actionsOf(each));
    const standing = standby.find(recommendations);
    const missing = await templates.find(at.getTime());
    const found = await idle.find(settings.get("optimize.idleVmMinutes") * 60_000);
    const possible = [...standing, ...missing, ...found, ...advised];
    if (dryRun) return { at: at.toISOString(), actions: possible.slice(0, MOST_SHOWN) };
    await this.#judge(scored);
    for (const { id, effect, realisedGain: gain } of await judgeActions(records, at)) {
      const details = { action: id, gain };
      await events.record({ type: "brain.judged", subject: id, message: effect, details });
    }
    const done = [...standing.map((action) => standby.act(action)), ...templates.act(missing)];
    for (const action of found) done.push(await idle.act(action));
    done.push(...(await templates.drop()));
    for (const action of [...done, ...advised]) await this.#keep(action, at);
    await files.sweep(at);
    await events.prune(new Date(at.getTime() - settings.get("events.keepDays") * DAY_MS));
    await brain.flush();
    return { at: at.toISOString(), actions: [...done, ...advised].slice(0, MOST_SHOWN) };
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
      .where(and(eq(actions.done, false), isNull(actions.realisedGain)));
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
