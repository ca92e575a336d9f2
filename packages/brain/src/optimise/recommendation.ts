import type { SizeClass } from "../resources/size-class.ts";
import type { Arrivals } from "./arrivals.ts";
import { fitClassSizes, roundingWaste } from "./class-sizes.ts";
import { forecast } from "./forecast.ts";

/** What a warm or a cold VM costs; all of it measured by whoever runs the brain. */
export interface OperatingCosts {
  /** Seconds that a task waits for a VM that is not warm. */
  readonly coldStartSeconds: number;
  /** What a second of waiting is worth, in GiB·s of idle memory. */
  readonly waitingWorth: number;
  /** How long an idle VM is kept now. */
  readonly idleSeconds: number;
  /** The part of a class's memory that an idle VM really holds (copy-on-write shares the rest). */
  readonly idleShare: number;
}

export const DEFAULT_COSTS: OperatingCosts = {
  coldStartSeconds: 2,
  waitingWorth: 30,
  idleSeconds: 300,
  idleShare: 0.3,
};

/** Something the operator could change, with what it should gain. */
export interface Recommendation {
  readonly id: string;
  readonly kind: "warm-pool" | "idle-reclamation" | "size-classes";
  /** The class it is about; "all" where it is about which classes there are. */
  readonly sizeClass: string;
  /** VMs to keep warm, seconds to keep an idle one, or the MiB of each class. */
  readonly value: number | readonly number[];
  readonly from: number;
  readonly until: number;
  /** In GiB·s, waiting included at its worth; over the time from `from` to `until`. */
  readonly expectedGain: number;
  readonly reason: string;
}

/** A recommendation whose time has passed, with what it would have gained. */
export interface ScoredRecommendation extends Recommendation {
  readonly realisedGain: number;
}

/** The saved form. */
export interface RecommendationState {
  readonly open: Recommendation[];
  readonly scored: ScoredRecommendation[];
}

const HOUR_SECONDS = 3600;
const DAY_HOURS = 24;
const DAY_SECONDS = DAY_HOURS * HOUR_SECONDS;
const MOST_SCORED = 200;

/** A run that ended, as far as class sizes care. */
export interface FinishedRun {
  readonly memoryMib: number;
  readonly hours: number;
  readonly at: number;
}

interface Situation {
  readonly arrivals: Arrivals;
  readonly runs: readonly FinishedRun[];
  readonly classes: readonly SizeClass[];
  readonly costs: OperatingCosts;
  readonly now: number;
}

/** Recommends, remembers what it recommended, and scores it once its time has passed. */
export class Recommender {
  #open: Recommendation[] = [];
  #scored: ScoredRecommendation[] = [];

  get scored(): readonly ScoredRecommendation[] {
    return this.#scored;
  }

  /** The recommendations for the coming hour; those that gain nothing are left out. */
  recommend(situation: Situation): Recommendation[] {
    this.score(situation);
    const { arrivals, classes, now } = situation;
    const from = Math.ceil(now / HOUR_SECONDS) * HOUR_SECONDS;
    const made: Recommendation[] = [...classSizes(situation, from)];
    for (const sizeClass of classes) {
      if (!arrivals.sizeClasses().includes(sizeClass.name)) continue;
      made.push(...warmPool(sizeClass, situation, from), ...idleTime(sizeClass, situation, from));
    }
    const fresh = made.filter(({ id }) => !this.#open.some((known) => known.id === id));
    this.#open.push(...fresh);
    return made.toSorted((a, b) => b.expectedGain - a.expectedGain);
  }

  /** Scores what has passed by `now` against the arrivals that really came. */
  score(situation: Situation): void {
    const { now } = situation;
    for (const past of this.#open.filter(({ until }) => until <= now)) {
      this.#scored.push({ ...past, realisedGain: realised(past, situation) });
    }
    this.#open = this.#open.filter(({ until }) => until > now);
    if (this.#scored.length > MOST_SCORED)
      this.#scored.splice(0, this.#scored.length - MOST_SCORED);
  }

  save(): RecommendationState {
    return { open: [...this.#open], scored: [...this.#scored] };
  }

  restore(state: RecommendationState): void {
    this.#open = [...state.open];
    this.#scored = [...state.scored];
  }
}

/** What `warm` VMs gain over none in an hour with so many arrivals, spread evenly. */
function warmGain(
  warm: number,
  count: number,
  sizeClass: SizeClass,
  costs: OperatingCosts,
): number {
  // Each warm VM serves as many as fit between refills; beyond that tasks start cold anyway.
  const refill = HOUR_SECONDS / Math.max(1, costs.coldStartSeconds);
  const served = Math.min(count, warm * refill);
  // Without a pool a task still finds a warm VM where another has just left one idle.
  const reused = count <= 1 ? 0 : 1 - Math.exp((-count * costs.idleSeconds) / HOUR_SECONDS);
  const saved = served * (1 - reused) * costs.coldStartSeconds * costs.waitingWorth;
  return saved - warm * idleCost(sizeClass, costs) * HOUR_SECONDS;
}

/** GiB that one idle VM of a class holds. */
const idleCost = (sizeClass: SizeClass, costs: OperatingCosts) =>
  (sizeClass.memoryMib / 1024) * costs.idleShare;

function warmPool(sizeClass: SizeClass, situation: Situation, from: number): Recommendation[] {
  const { arrivals, costs, now } = situation;
  const series = arrivals.hourly(sizeClass.name, now);
  if (series.length < 2) return [];
  const { values, method, error } = forecast(series, DAY_HOURS, 2);
  // The running hour is forecast too: the one recommended for is the next.
  const expected = values[1] ?? 0;
  let best = 0;
  let gain = 0;
  for (let warm = 1; warm <= 32; warm += 1) {
    const own = warmGain(warm, expected, sizeClass, costs);
    if (own <= gain) break;
    best = warm;
    gain = own;
  }
  if (best === 0) return [];
  const judged =
    error === undefined ? "" : `, ${error.toFixed(1)} off on average over the last day`;
  return [
    {
      id: `warm-pool/${sizeClass.name}/${from}`,
      kind: "warm-pool",
      sizeClass: sizeClass.name,
      value: best,
      from,
      until: from + HOUR_SECONDS,
      expectedGain: gain,
      reason: `${expected.toFixed(1)} tasks of class ${sizeClass.name} are expected in the hour (${method}${judged})`,
    },
  ];
}

/** What idling costs over past pauses when an idle VM is kept for `kept` seconds, in GiB·s. */
function idleTimeCost(
  gaps: readonly number[],
  kept: number,
  sizeClass: SizeClass,
  costs: OperatingCosts,
): number {
  let cost = 0;
  for (const gap of gaps) {
    cost += Math.min(gap, kept) * idleCost(sizeClass, costs);
    if (gap > kept) cost += costs.coldStartSeconds * costs.waitingWorth;
  }
  return cost;
}

function idleTime(sizeClass: SizeClass, situation: Situation, from: number): Recommendation[] {
  const { arrivals, costs } = situation;
  const gaps = arrivals.gaps(sizeClass.name);
  if (gaps.length < 10) return [];
  const present = idleTimeCost(gaps, costs.idleSeconds, sizeClass, costs);
  let best = costs.idleSeconds;
  let least = present;
  // Only a pause seen, or none at all, can be the cheapest time to wait.
  for (const kept of [0, ...gaps.map((gap) => Math.ceil(gap))]) {
    const cost = idleTimeCost(gaps, kept, sizeClass, costs);
    if (cost < least) {
      least = cost;
      best = kept;
    }
  }
  if (best === costs.idleSeconds) return [];
  const seen = gaps.reduce((sum, gap) => sum + gap, 0);
  const until = from + HOUR_SECONDS;
  return [
    {
      id: `idle-reclamation/${sizeClass.name}/${from}`,
      kind: "idle-reclamation",
      sizeClass: sizeClass.name,
      value: best,
      from,
      until,
      expectedGain: ((present - least) * HOUR_SECONDS) / seen,
      reason: `of the last ${gaps.length} pauses between tasks ${gaps.filter((gap) => gap <= best).length} were no longer than ${best} s`,
    },
  ];
}

const LEAST_RUNS = 50;

function classSizes({ runs, classes, now }: Situation, from: number): Recommendation[] {
  const [first] = runs;
  if (first === undefined || runs.length < LEAST_RUNS) return [];
  const present = classes.map(({ memoryMib }) => memoryMib);
  const fitted = fitClassSizes(runs, present, classes.length);
  const saved = (fitted.presentWaste - fitted.fittedWaste) * HOUR_SECONDS;
  const seconds = Math.max(HOUR_SECONDS, now - first.at);
  if (saved <= 0) return [];
  // Other classes need other templates: what they gain is judged over a day.
  const day = Math.ceil(from / DAY_SECONDS) * DAY_SECONDS;
  return [
    {
      id: `size-classes/all/${day}`,
      kind: "size-classes",
      sizeClass: "all",
      value: fitted.memoryMib,
      from: day,
      until: day + DAY_SECONDS,
      expectedGain: (saved * DAY_SECONDS) / seconds,
      reason: `on the last ${runs.length} runs these sizes would have rounded up ${fitted.fittedWaste.toFixed(1)} instead of ${fitted.presentWaste.toFixed(1)} GiB·h`,
    },
  ];
}

function realised(past: Recommendation, { arrivals, classes, costs, runs }: Situation): number {
  if (typeof past.value !== "number") {
    const during = runs.filter(({ at }) => at >= past.from && at < past.until);
    const present = classes.map(({ memoryMib }) => memoryMib);
    const saved = roundingWaste(during, present) - roundingWaste(during, past.value);
    return saved * HOUR_SECONDS;
  }
  const sizeClass = classes.find(({ name }) => name === past.sizeClass);
  if (sizeClass === undefined) return 0;
  const count = arrivals.between(past.sizeClass, past.from, past.until);
  if (past.kind === "warm-pool") return warmGain(past.value, count, sizeClass, costs);
  if (count < 1) return 0;
  const gap = (past.until - past.from) / count;
  const gaps = Array.from({ length: count }, () => gap);
  return (
    idleTimeCost(gaps, costs.idleSeconds, sizeClass, costs) -
    idleTimeCost(gaps, past.value, sizeClass, costs)
  );
}
