import { onGrid } from "./allocation.ts";
import { peakBeyond } from "./beyond-seen.ts";
import { ElasticMemory, type ElasticState } from "./elastic-memory.ts";
import { PeakHistogram, type PeakHistogramState } from "./peak-histogram.ts";
import {
  constantPredictor,
  nearestPredictor,
  type Predictor,
  recentPredictor,
  regressionPredictor,
} from "./predictors.ts";
import { PeakInterval, type PeakIntervalState } from "./peak-interval.ts";
import type { PooledLosses } from "./pooled-losses.ts";
import { cheapestOffset, type OffsetMode } from "./residual-offset.ts";
import { type Sample, SampleWindow, type SampleWindowState } from "./sample-window.ts";
import type { SizingSettings } from "./sizing-settings.ts";

/** What one expert would give, and what choosing it is expected to cost (in MiB·s, discounted). */
export interface ExpertBid {
  readonly expert: string;
  readonly memoryMib: number;
  readonly score: number;
}

/** An attempt that died for lack of memory and has not ended well yet: its task needs more than it had. */
interface OpenFailure {
  readonly inputBytes: number;
  readonly allocatedMib: number;
}

/** The saved form of a family. */
export interface ExpertBankState {
  readonly samples: number;
  readonly meanCost: number;
  readonly min: number;
  readonly max: number;
  readonly highest: number[];
  readonly failureFloorMib: number;
  readonly waiting: number;
  readonly openFailures: OpenFailure[];
  readonly lastAt: number;
  readonly hits: number[];
  readonly interval: PeakIntervalState;
  readonly elastic: ElasticState;
  readonly histogram: PeakHistogramState;
  readonly window: SampleWindowState;
  readonly experts: [
    name: string,
    loss: number,
    predictor: number[],
    predicted: number[],
    offset: number,
    stale: number,
    dropped: number,
  ][];
}

const DAY_SECONDS = 86_400;
const LOSS_DISCOUNT = 0.99;
const HEADROOM = 0.2;
const POOL_WEIGHT = 3;
const RETRY_MARGIN = 1.05;
const MOST_OPEN_FAILURES = 20;
const RECENT_DECISIONS = 50;
// Offsets are refitted when a twentieth of the window is new, or at once when a peak broke the old one.
const STALE_SHARE = 0.05;
// A regression's first predictions rest on one to three samples and say nothing about later ones.
const WARM_UP = 3;
const WARM_UP_SHARE = 0.25;

/**
 * One family's experts. Each finished task tells every expert what its bid would have cost, because a
 * peak is known whatever was given; the expert with the least discounted cost is followed. Predictions
 * that an offset is fitted on are made before their task is learned from (test, then train).
 */
export class ExpertBank {
  readonly #settings: SizingSettings;
  readonly #pool: PooledLosses;
  readonly #window: SampleWindow;
  readonly #histogram = new PeakHistogram(DAY_SECONDS);
  readonly #range = { min: Infinity, max: 0 };
  readonly #experts: Expert[];
  readonly #interval = new PeakInterval();
  readonly elastic = new ElasticMemory();
  #samples = 0;
  #meanCost = 0;
  #highest: number[] = [];
  #openFailures: OpenFailure[] = [];
  /** Whether each of the last decisions, made again just before learning its outcome, held. */
  #hits: number[] = [];
  /** The most that has failed while nothing had finished. */
  failureFloorMib = 0;
  /** Attempts started while nothing had finished and not heard of since. */
  waiting = 0;
  lastAt = -Infinity;

  constructor(settings: SizingSettings, pool: PooledLosses) {
    this.#settings = settings;
    this.#pool = pool;
    this.#window = new SampleWindow(settings.windowSize);
    this.#experts = this.#bank();
  }

  /** Tasks finished so far, including those no longer kept in detail. */
  get samples(): number {
    return this.#samples;
  }

  get window(): SampleWindow {
    return this.#window;
  }

  get range(): { readonly min: number; readonly max: number } {
    return this.#range;
  }

  /** The mean of peak × run time of its tasks, in MiB·s. */
  get meanCost(): number {
    return this.#meanCost;
  }

  /** Of the last (up to 50) finished tasks, for how many the decision would have been enough. */
  get record(): { readonly decisions: number; readonly held: number } {
    return { decisions: this.#hits.length, held: this.#hits.reduce((sum, hit) => sum + hit, 0) };
  }

  /** Where the peak of a task is expected (9 times of 10) that the bank would give `memoryMib`. */
  interval(memoryMib: number): readonly [lowMib: number, highMib: number] {
    return this.#interval.around(memoryMib, this.#range);
  }

  /** Of the recent intervals, the share that held the peak. */
  get intervalCoverage(): number | undefined {
    return this.#interval.coverage;
  }

  /** What every expert would give this input. */
  bids(inputBytes: number): ExpertBid[] {
    const { enoughMib } = this.elastic;
    if (enoughMib !== undefined) {
      return [{ expert: "enough before", memoryMib: enoughMib, score: 0 }];
    }
    const borrowed = POOL_WEIGHT * this.#meanCost;
    const bids = this.#experts.map((expert) => ({
      expert: expert.name,
      memoryMib: expert.bid(inputBytes),
      score:
        expert.loss +
        borrowed * this.#pool.mean(this.#samples, expert.name, expert.prior) +
        this.#openFailureCost(expert),
    }));
    const best = cheapestBid(bids);
    const beyond = peakBeyond(this.#window, inputBytes);
    if (beyond <= best.memoryMib) return bids;
    // Goes before those of the same score.
    return [{ expert: "larger than seen", memoryMib: beyond, score: best.score }, ...bids];
  }

  /** What to give after a failure: more than was ever seen once, then twice what failed. */
  retryMib(failedMib: number): number {
    const aboveAll = this.#range.max * RETRY_MARGIN;
    return aboveAll > failedMib * 1.02 ? aboveAll : failedMib * 2;
  }

  fail(inputBytes: number, allocatedMib: number): void {
    this.elastic.fail(allocatedMib);
    if (this.#samples === 0) {
      this.failureFloorMib = Math.max(this.failureFloorMib, allocatedMib);
      return;
    }
    this.#openFailures.push({ inputBytes, allocatedMib });
    if (this.#openFailures.length > MOST_OPEN_FAILURES) this.#openFailures.shift();
  }

  learn(sample: Sample, allocatedMib: number): void {
    if (this.#samples > 0) this.#judge(sample);
    this.elastic.learn(sample.inputBytes, allocatedMib, sample.peakMib);
    const settled = this.#openFailures.findIndex(
      (open) => open.inputBytes === sample.inputBytes && open.allocatedMib < sample.peakMib,
    );
    if (settled >= 0) this.#openFailures.splice(settled, 1);
    const n = this.#samples;
    this.#meanCost = (this.#meanCost * n + sample.peakMib * sample.runtimeSeconds) / (n + 1);
    for (const expert of this.#experts) expert.learn(sample, n === 0);
    this.#histogram.add(sample.peakMib, sample.at);
    this.#range.min = Math.min(this.#range.min, sample.peakMib);
    this.#range.max = Math.max(this.#range.max, sample.peakMib);
    this.#highest = [...this.#highest, sample.peakMib].sort((a, b) => b - a).slice(0, 3);
    if (this.#window.size === this.#window.capacity) this.#forgetOldest();
    this.#window.push(sample);
    this.#samples += 1;
    this.lastAt = Math.max(this.lastAt, sample.at);
  }

  #judge(sample: Sample): void {
    const chosen = cheapestBid(this.bids(sample.inputBytes));
    this.#interval.learn(chosen.memoryMib, sample.peakMib, this.#range);
    this.#hits.push(onGrid(chosen.memoryMib, this.#settings.grid) >= sample.peakMib ? 1 : 0);
    if (this.#hits.length > RECENT_DECISIONS) this.#hits.shift();
    // What an expert lost while it had next to nothing to learn from says little: it fades first.
    const discount = Math.min(LOSS_DISCOUNT, this.#samples / (this.#samples + 2));
    for (const expert of this.#experts) {
      const given = onGrid(expert.bid(sample.inputBytes), this.#settings.grid);
      const loss = this.#cost(given, sample);
      expert.loss = expert.loss * discount + loss;
      this.#pool.add(this.#samples, expert.name, loss / Math.max(1e-9, this.#meanCost));
    }
  }

  #cost(givenMib: number, { peakMib, runtimeSeconds }: Sample): number {
    const { grid, failureFraction, failurePenalty } = this.#settings;
    if (givenMib >= peakMib) return (givenMib - peakMib) * runtimeSeconds;
    let cost = failurePenalty * this.#meanCost;
    let given = givenMib;
    while (given < peakMib && given < grid.capMib) {
      cost += given * runtimeSeconds * failureFraction;
      given = onGrid(this.retryMib(given), grid);
    }
    return cost + Math.max(0, given - peakMib) * runtimeSeconds;
  }

  // A task that died is heard of long before it has ended well: until then it speaks against every
  // expert that would have let it die, or the early, surviving tasks would flatter the cheap ones.
  #openFailureCost(expert: Expert): number {
    let cost = 0;
    for (const open of this.#openFailures) {
      if (expert.bid(open.inputBytes) <= open.allocatedMib) {
        cost += (this.#settings.failurePenalty + 1) * this.#meanCost;
      }
    }
    return cost;
  }

  #forgetOldest(): void {
    this.#window.dropOldest();
    for (const expert of this.#experts) expert.dropOldest();
  }

  /** Forgets the oldest sample in detail; what was learned from it stays. */
  dropOldest(): void {
    if (this.#window.size > 1) this.#forgetOldest();
  }

  #bank(): Expert[] {
    const window = this.#window;
    const histogram = this.#histogram;
    const range = this.#range;
    const plain = (name: string, prior: number, bid: () => number) => new Expert(name, prior, bid);
    const fitted = (name: string, predictor: Predictor, mode: OffsetMode = "factor") =>
      new CalibratedExpert(name, predictor, mode, this.#window, () => ({
        retryMib: range.max * RETRY_MARGIN,
        failurePenalty: this.#settings.failurePenalty * this.#meanCost,
        failureFraction: this.#settings.failureFraction,
        headroom: HEADROOM,
      }));
    // The priors (expected cost in task costs) only order the experts while no family has a record.
    return [
      plain("max+2%", 0.32, () => range.max * 1.02),
      plain("max+tail", 0.3, () => {
        const third = this.#highest[2] ?? 0;
        return range.max + Math.max(range.max - third, 0.005 * range.max);
      }),
      plain("max+5%", 0.28, () => range.max * 1.05),
      plain("max+15%", 0.25, () => range.max * 1.15),
      plain("max+30%", 0.35, () => range.max * 1.3),
      plain("max+60%", 0.65, () => range.max * 1.6),
      plain("p90+15%", 0.25, () => histogram.quantile(0.9) * 1.15),
      plain("p95", 0.28, () => histogram.quantile(0.95)),
      plain("p99", 0.28, () => histogram.quantile(0.99)),
      fitted("quantile", constantPredictor()),
      fitted("linear×", regressionPredictor("linear", range)),
      fitted("linear+", regressionPredictor("linear", range), "addend"),
      fitted("power", regressionPredictor("log", range)),
      fitted("nearest-5-max", nearestPredictor(window, 5, "max")),
      fitted("nearest-5", nearestPredictor(window, 5, "mean")),
      fitted("nearest", nearestPredictor(window, 1, "mean")),
      fitted("nearest-20", nearestPredictor(window, 20, "mean")),
      fitted("last-5", recentPredictor(window, 5)),
      fitted("last-20", recentPredictor(window, 20)),
    ];
  }

  save(): ExpertBankState {
    return {
      samples: this.#samples,
      meanCost: this.#meanCost,
      min: this.#samples === 0 ? 0 : this.#range.min,
      max: this.#range.max,
      highest: [...this.#highest],
      failureFloorMib: this.failureFloorMib,
      waiting: this.waiting,
      openFailures: [...this.#openFailures],
      lastAt: Number.isFinite(this.lastAt) ? this.lastAt : 0,
      hits: [...this.#hits],
      interval: this.#interval.save(),
      elastic: this.elastic.save(),
      histogram: this.#histogram.save(),
      window: this.#window.save(),
      experts: this.#experts.map((expert) => expert.save()),
    };
  }

  restore(state: ExpertBankState): void {
    this.#samples = state.samples;
    this.#meanCost = state.meanCost;
    this.#range.min = state.samples === 0 ? Infinity : state.min;
    this.#range.max = state.max;
    this.#highest = [...state.highest];
    this.failureFloorMib = state.failureFloorMib;
    this.waiting = state.waiting;
    this.#openFailures = [...state.openFailures];
    this.lastAt = state.lastAt;
    this.#hits = [...state.hits];
    this.#interval.restore(state.interval);
    this.elastic.restore(state.elastic);
    this.#histogram.restore(state.histogram);
    this.#window.restore(state.window);
    const saved = new Map(state.experts.map((expert) => [expert[0], expert]));
    for (const expert of this.#experts) {
      const own = saved.get(expert.name);
      if (own === undefined) throw new RangeError(`expert ${expert.name} is missing`);
      expert.restore(own);
    }
  }
}

/** The bid with the least score; the first of equals. */
export function cheapestBid(bids: readonly ExpertBid[]): ExpertBid {
  let best = bids[0] as ExpertBid;
  for (const bid of bids) if (bid.score < best.score) best = bid;
  return best;
}

type SavedExpert = ExpertBankState["experts"][number];

class Expert {
  readonly name: string;
  readonly prior: number;
  readonly bid: (inputBytes: number) => number;
  loss = 0;

  constructor(name: string, prior: number, bid: (inputBytes: number) => number) {
    this.name = name;
    this.prior = prior;
    this.bid = bid;
  }

  learn(_sample: Sample, _first: boolean): void {}

  dropOldest(): void {}

  save(): SavedExpert {
    return [this.name, this.loss, [], [], 0, 0, 0];
  }

  restore(saved: SavedExpert): void {
    this.loss = saved[1];
  }
}

const CALIBRATED_PRIOR = 0.3;

class CalibratedExpert extends Expert {
  readonly #predictor: Predictor;
  readonly #mode: OffsetMode;
  readonly #window: SampleWindow;
  readonly #costs: () => Parameters<typeof cheapestOffset>[4];
  #predicted: number[] = [];
  #offset: number;
  /** Samples learned since the offset was fitted; the fit is put off until a bid needs it. */
  #stale = 0;
  #broken = false;
  /** Predictions no longer kept. */
  #dropped = 0;

  constructor(
    name: string,
    predictor: Predictor,
    mode: OffsetMode,
    window: SampleWindow,
    costs: () => Parameters<typeof cheapestOffset>[4],
  ) {
    super(name, CALIBRATED_PRIOR, (inputBytes) => this.#lift(predictor.predict(inputBytes)));
    this.#predictor = predictor;
    this.#mode = mode;
    this.#window = window;
    this.#costs = costs;
    this.#offset = mode === "factor" ? 1 : 0;
  }

  #lift(predicted: number): number {
    if (this.#broken || this.#stale > this.#predicted.length * STALE_SHARE) {
      const { peaks, seconds } = this.#window;
      this.#offset = cheapestOffset(
        this.#mode,
        this.#predicted,
        peaks,
        seconds,
        this.#costs(),
        this.#warmUp(),
      );
      this.#stale = 0;
      this.#broken = false;
    }
    const mib = Math.max(1, predicted);
    return this.#mode === "factor" ? mib * this.#offset : mib + this.#offset;
  }

  override learn(sample: Sample, first: boolean): void {
    const raw = this.#predictor.predict(sample.inputBytes);
    // The first sample was predicted from nothing: it must not teach an offset.
    const predicted = Math.max(1, first && raw <= 0 ? sample.peakMib : raw);
    this.#predicted.push(predicted);
    const residual =
      this.#mode === "factor" ? sample.peakMib / predicted : sample.peakMib - predicted;
    this.#stale += 1;
    if (residual > this.#offset) this.#broken = true;
    this.#predictor.learn(sample);
  }

  #warmUp(): number {
    const spared = Math.min(WARM_UP, Math.floor(this.#predicted.length * WARM_UP_SHARE));
    return Math.max(0, spared - this.#dropped);
  }

  override dropOldest(): void {
    this.#predicted.shift();
    this.#dropped += 1;
  }

  override save(): SavedExpert {
    const stale = this.#broken ? -1 : this.#stale;
    return [
      this.name,
      this.loss,
      this.#predictor.save(),
      [...this.#predicted],
      this.#offset,
      stale,
      this.#dropped,
    ];
  }

  override restore(saved: SavedExpert): void {
    super.restore(saved);
    const [, , predictor, predicted, offset, stale, dropped] = saved;
    if (predicted.length !== this.#window.size) {
      throw new RangeError(`expert ${this.name} has not predicted its window`);
    }
    this.#dropped = dropped;
    this.#predictor.restore(predictor);
    this.#predicted = [...predicted];
    this.#offset = offset;
    this.#broken = stale < 0;
    this.#stale = Math.max(0, stale);
  }
}
