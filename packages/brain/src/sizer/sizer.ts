import { checkName, checkNumber, invalid } from "../checks.ts";
import { fault } from "../errors.ts";
import { restoring } from "../saved-shape.ts";
import { SIZER_SHAPE } from "./sizer-shape.ts";
import { coldBids, type PeakGuess, plainGuess } from "./cold-start.ts";
import { cheapestBid, ExpertBank, type ExpertBankState } from "./expert-bank.ts";
import { type KnownFamily, knownFamily, recallPeaks } from "./family-recall.ts";
import type { MemoryPolicy, RetryQuery, SizeObservation, SizeQuery } from "./memory-policy.ts";
import { PooledLosses, type PooledLossesState } from "./pooled-losses.ts";
import {
  decideSize,
  SIZER_VERSION,
  type SizeCandidate,
  type SizeEvidence,
} from "./size-decision.ts";
import { experienceReasons, memoryText, recallReasons } from "./size-reasons.ts";
import { type RiskPolicy, type SizingSettings, settingsFor } from "./sizing-settings.ts";

/** A size, how sure it is, and why. */
export interface MemoryEstimate {
  /** What to give the attempt, in MiB: a multiple of 16 from 64 MiB to 128 GiB. */
  readonly memoryMib: number;
  /** Where the peak is expected 9 times of 10, in MiB. */
  readonly interval: readonly [lowMib: number, highMib: number];
  /** How likely the attempt is to have enough, 0 to 1; about 0.5 means nobody knows. */
  readonly confidence: number;
  /** Plain words, the strongest first. */
  readonly reasons: readonly string[];
  /** Finished tasks of this family that the sizer has learned from. */
  readonly samples: number;
  /**
   * Of a program that fills whatever it gets, the most that is known not to be enough (0 where nothing is): between
   * that and `memoryMib` it may be tried with less. Undefined for any other program.
   */
  readonly elasticAboveMib?: number;
  /** All that `decideSize` needs to repeat the decision bit for bit. */
  readonly evidence: SizeEvidence;
}

/** How a sizer is set up; every part may be left out. */
export interface SizerOptions {
  /** From 0 or "cheap" over "balanced" (the default) to 1 or "safe". */
  readonly policy?: RiskPolicy;
  /** Single settings that differ from the policy's. */
  readonly settings?: Partial<SizingSettings>;
}

/** A sizer's knowledge as a plain object for JSON. */
export interface SizerState {
  readonly version: number;
  readonly at: number;
  readonly pool: PooledLossesState;
  readonly families: {
    readonly name: string;
    readonly requestMib: number | null;
    readonly bank: ExpertBankState;
  }[];
  readonly held: SizeObservation[];
}

/** What the sizer knows of one family. */
export interface FamilySummary {
  readonly family: string;
  readonly samples: number;
  readonly peakMib: readonly [least: number, most: number];
  /** Of the last (up to 50) decisions, the share that would have been enough. */
  readonly heldShare: number | undefined;
  readonly intervalCoverage: number | undefined;
  /** Whether it fills whatever memory it gets. */
  readonly elastic: boolean;
}

/** Sizes memory and learns from every attempt; all of it synchronous. */
export interface Sizer extends MemoryPolicy {
  estimate(query: SizeQuery): MemoryEstimate;
  /** Throws `QZ_BRAIN_MEMORY_CAP_REACHED` where the failed attempt had all that one may have. */
  retry(query: RetryQuery): MemoryEstimate;
  /** An outcome with an `at` later than any query is kept back until a query comes that late. */
  observe(observation: SizeObservation): void;
  /** Learns what was kept back up to this time. */
  advance(at: number): void;
  /** Finished tasks of a family that were learned from. */
  samples(family: string): number;
  families(): FamilySummary[];
  save(): SizerState;
}

const FIRST_REQUEST_WEIGHT = 0.3;
const MOST_WAITING = 16;
const MOST_HELD = 10_000;

/**
 * Makes a sizer with no knowledge. It throws `QZ_BRAIN_INPUT_INVALID` for inputs that are not finite, negative or
 * otherwise senseless, and keeps its state as it was.
 */
export function createSizer(options: SizerOptions = {}): Sizer {
  return new ExpertSizer(resolveSettings(options));
}

/**
 * Makes a sizer that goes on exactly where `save` was called. Throws `QZ_BRAIN_STATE_INVALID` and
 * `QZ_BRAIN_STATE_TOO_NEW`.
 */
export function restoreSizer(state: SizerState, options: SizerOptions = {}): Sizer {
  const sizer = new ExpertSizer(resolveSettings(options));
  restoring(SIZER_SHAPE, state, () => {
    const { version } = state;
    if (version > SIZER_VERSION) {
      throw fault("QZ_BRAIN_STATE_TOO_NEW", { version, supported: SIZER_VERSION });
    }
    sizer.restore(state);
  });
  return sizer;
}

function resolveSettings({ policy = "balanced", settings = {} }: SizerOptions): SizingSettings {
  if (typeof policy === "number") checkNumber("policy", policy, { min: 0, max: 1 });
  else if (!["cheap", "balanced", "safe"].includes(policy)) {
    throw invalid("policy", "cheap, balanced, safe or a number from 0 to 1", policy);
  }
  const { grid, ...numbers } = settings;
  for (const [name, value] of Object.entries({ ...grid, ...numbers })) {
    checkNumber(`settings.${name}`, value, name.includes("Penalty") ? { min: 0 } : { above: 0 });
  }
  return { ...settingsFor(policy), ...settings };
}

class ExpertSizer implements Sizer {
  readonly #settings: SizingSettings;
  readonly #pool = new PooledLosses();
  readonly #families = new Map<string, KnownFamily>();
  /** Outcomes from the future of every query so far, the earliest first. */
  #held: SizeObservation[] = [];
  #now = -Infinity;

  constructor(settings: SizingSettings) {
    this.#settings = settings;
  }

  estimate(query: SizeQuery): MemoryEstimate {
    checkQuery(query);
    this.advance(query.at);
    const family = this.#family(query.family, query.requestMib);
    if (family.bank.samples > 0) return this.#fromExperience(query, family);
    const estimate = this.#fromRecall(query, family, family.bank.failureFloorMib, "recall");
    // Tasks of one unknown family often start together, and would all fail together: each one that
    // nothing is known of makes the next lean more on what the user asked for.
    family.bank.waiting = Math.min(MOST_WAITING, family.bank.waiting + 1);
    return estimate;
  }

  retry(query: RetryQuery): MemoryEstimate {
    checkQuery(query);
    checkNumber("attempt", query.attempt, { min: 0 });
    const failedMib = checkNumber("failedMib", query.failedMib, { above: 0 });
    this.advance(query.at);
    const { grid } = this.#settings;
    if (failedMib >= grid.capMib) throw fault("QZ_BRAIN_MEMORY_CAP_REACHED", { failedMib });
    const family = this.#family(query.family, query.requestMib);
    const { bank } = family;
    if (bank.samples === 0) {
      return this.#fromRecall(query, family, Math.max(failedMib, bank.failureFloorMib), "retry");
    }
    const wanted = bank.retryMib(failedMib);
    const name = wanted === failedMib * 2 ? "double" : "max+5%";
    const evidence = this.#evidence(
      "retry",
      query,
      [{ name, memoryMib: wanted, score: 0 }],
      failedMib,
    );
    const { memoryMib } = decideSize(evidence);
    return {
      memoryMib,
      interval: [failedMib, Math.max(memoryMib, bank.range.max) * 2],
      confidence: name === "double" ? 0.5 : 0.8,
      reasons: [
        `the attempt with ${memoryText(failedMib)} ran out of memory`,
        name === "double"
          ? "no task of this family is known to have needed more: the size is doubled"
          : `the most any task of this family needed is ${memoryText(bank.range.max)}`,
      ],
      samples: bank.samples,
      evidence,
    };
  }

  observe(observation: SizeObservation): void {
    checkObservation(observation);
    if (observation.at <= this.#now) {
      this.#learn(observation);
      return;
    }
    let i = this.#held.length;
    while (i > 0 && (this.#held[i - 1] as SizeObservation).at > observation.at) i -= 1;
    this.#held.splice(i, 0, { ...observation });
    if (this.#held.length > MOST_HELD) this.#held.pop();
  }

  samples(family: string): number {
    return this.#families.get(family)?.bank.samples ?? 0;
  }

  families(): FamilySummary[] {
    return [...this.#families.values()].map(({ name, bank }) => ({
      family: name,
      samples: bank.samples,
      peakMib: bank.samples === 0 ? [0, 0] : [bank.range.min, bank.range.max],
      heldShare: bank.record.decisions === 0 ? undefined : bank.record.held / bank.record.decisions,
      intervalCoverage: bank.intervalCoverage,
      elastic: bank.elastic.enoughMib !== undefined,
    }));
  }

  save(): SizerState {
    return {
      version: SIZER_VERSION,
      at: Number.isFinite(this.#now) ? this.#now : 0,
      pool: this.#pool.save(),
      families: [...this.#families.values()].map(({ name, requestMib, bank }) => ({
        name,
        requestMib: requestMib ?? null,
        bank: bank.save(),
      })),
      held: [...this.#held],
    };
  }

  restore(state: SizerState): void {
    this.#now = state.at;
    this.#pool.restore(state.pool);
    for (const { name, requestMib, bank } of state.families) {
      this.#family(name, requestMib ?? undefined).bank.restore(bank);
    }
    for (const observation of state.held) this.observe(observation);
  }

  #fromExperience(query: SizeQuery, { bank }: KnownFamily): MemoryEstimate {
    const bids = bank.bids(query.inputBytes);
    const candidates = bids.map(({ expert, memoryMib, score }) => ({
      name: expert,
      memoryMib,
      score,
    }));
    const evidence = this.#evidence("experience", query, candidates, 0);
    const { memoryMib, chosen } = decideSize(evidence);
    const { decisions, held } = bank.record;
    return {
      memoryMib,
      interval: bank.interval(cheapestBid(bids).memoryMib),
      confidence: (held + 1) / (decisions + 2),
      reasons: experienceReasons(bank, chosen, memoryMib),
      ...(bank.elastic.enoughMib === undefined ? {} : { elasticAboveMib: bank.elastic.failedMib }),
      samples: bank.samples,
      evidence,
    };
  }

  #fromRecall(
    query: SizeQuery,
    { bank }: KnownFamily,
    aboveMib: number,
    basis: "recall" | "retry",
  ): MemoryEstimate {
    const { grid, coldFailurePenalty, coldStartMib } = this.#settings;
    const recalled = recallPeaks(query, this.#families);
    const caution = (1 + bank.waiting) ** 2;
    const request = query.requestMib ?? coldStartMib;
    const guesses = [plainGuess(request, FIRST_REQUEST_WEIGHT * caution), ...recalled.guesses];
    const penalty = coldFailurePenalty * (basis === "retry" ? 1 : caution);
    const bids = coldBids(guesses, { aboveMib, penalty, grid });
    const candidates: SizeCandidate[] = bids.map((bid) => ({
      name: memoryText(bid.memoryMib),
      ...bid,
    }));
    if (basis === "retry" || candidates.length === 0) {
      // A second guess may not be timid: it gives at least twice what failed.
      const least = aboveMib * 2;
      for (const [i, candidate] of candidates.entries()) {
        candidates[i] = { ...candidate, memoryMib: Math.max(candidate.memoryMib, least) };
      }
      if (candidates.length === 0) candidates.push({ name: "double", memoryMib: least, score: 0 });
    }
    const known = recalled.guesses.length > 0;
    const evidence = this.#evidence(
      known || basis === "retry" ? basis : "request",
      query,
      candidates,
      aboveMib,
    );
    const { memoryMib } = decideSize(evidence);
    return {
      memoryMib,
      interval: guessedInterval(guesses),
      confidence: known ? guessedConfidence(recalled.guesses, memoryMib) : 0.5,
      reasons: known
        ? recallReasons(recalled, memoryMib, aboveMib)
        : [
            "nothing like it has finished yet",
            (query.requestMib ?? undefined) === undefined
              ? `${memoryText(request)} is the default for a first task`
              : "the first task gets what its user asked for",
          ],
      samples: 0,
      evidence,
    };
  }

  #evidence(
    basis: SizeEvidence["basis"],
    { family, inputBytes, requestMib, at }: SizeQuery,
    candidates: readonly SizeCandidate[],
    aboveMib: number,
  ): SizeEvidence {
    const query = { family, inputBytes, requestMib, at };
    return {
      version: SIZER_VERSION,
      basis,
      query,
      candidates,
      aboveMib,
      grid: this.#settings.grid,
    };
  }

  advance(at: number): void {
    this.#now = Math.max(this.#now, at);
    let due = 0;
    while (due < this.#held.length && (this.#held[due] as SizeObservation).at <= this.#now)
      due += 1;
    if (due > 0) for (const observation of this.#held.splice(0, due)) this.#learn(observation);
  }

  #learn(observation: SizeObservation): void {
    const { bank } = this.#family(observation.family, observation.requestMib);
    const { capMib } = this.#settings.grid;
    if (observation.outcome === "oom") {
      bank.fail(observation.inputBytes, Math.min(observation.allocatedMib, capMib));
      bank.lastAt = Math.max(bank.lastAt, observation.at);
      return;
    }
    const sample = {
      inputBytes: observation.inputBytes,
      peakMib: Math.min(Math.max(observation.peakMib, 1), capMib),
      runtimeSeconds: Math.min(Math.max(observation.runtimeSeconds, 0.01), LONGEST_RUN_SECONDS),
      at: observation.at,
    };
    bank.learn(sample, observation.allocatedMib);
  }

  #family(name: string, requestMib: number | null | undefined): KnownFamily {
    const known = this.#families.get(name);
    if (known !== undefined) return known;
    if (this.#families.size >= this.#settings.mostFamilies) this.#forgetFamily();
    const family = knownFamily(
      name,
      requestMib ?? undefined,
      new ExpertBank(this.#settings, this.#pool),
    );
    this.#families.set(name, family);
    return family;
  }

  /** Forgets the family whose knowledge is worth least: few samples, cheap tasks, long unheard of. */
  #forgetFamily(): void {
    let least: KnownFamily | undefined;
    let leastWorth = Infinity;
    for (const family of this.#families.values()) {
      const { bank } = family;
      const age = Math.max(0, this.#now - bank.lastAt) / 86_400;
      const worth = (bank.samples * (bank.meanCost + 1)) / (1 + age);
      if (worth < leastWorth) {
        leastWorth = worth;
        least = family;
      }
    }
    if (least !== undefined) this.#families.delete(least.name);
  }
}

// A year: longer runs are a clock's mistake, and one of them would outweigh all others.
const LONGEST_RUN_SECONDS = 366 * 86_400;

function guessedInterval(guesses: readonly PeakGuess[]): readonly [number, number] {
  const sorted = guesses.toSorted((a, b) => a.peakMib - b.peakMib);
  const total = sorted.reduce((sum, guess) => sum + guess.weight, 0);
  const at = (share: number) => {
    let passed = 0;
    for (const { peakMib, weight } of sorted) {
      passed += weight;
      if (passed >= share * total) return peakMib;
    }
    return sorted.at(-1)?.peakMib ?? 0;
  };
  return [at(0.05), at(0.95)];
}

/** The share of the guesses that fit, drawn half-way to "nobody knows": they are of other families. */
function guessedConfidence(guesses: readonly PeakGuess[], memoryMib: number): number {
  let fits = 0;
  let total = 0;
  for (const { peakMib, weight } of guesses) {
    total += weight;
    if (peakMib <= memoryMib) fits += weight;
  }
  return 0.25 + (0.5 * fits) / total;
}

function checkQuery(query: SizeQuery): void {
  checkName("family", query.family);
  checkNumber("inputBytes", query.inputBytes, { min: 0 });
  checkNumber("at", query.at);
  if (query.requestMib !== undefined && query.requestMib !== null)
    checkNumber("requestMib", query.requestMib, { above: 0 });
  for (const { family, similarity } of query.alike ?? []) {
    checkName("alike.family", family);
    checkNumber("alike.similarity", similarity, { min: 0, max: 1 });
  }
}

function checkObservation(observation: SizeObservation): void {
  checkQuery(observation);
  checkNumber("allocatedMib", observation.allocatedMib, { min: 0 });
  checkNumber("peakMib", observation.peakMib, { min: 0 });
  checkNumber("runtimeSeconds", observation.runtimeSeconds, { min: 0 });
  if (observation.outcome !== "ok" && observation.outcome !== "oom") {
    throw invalid("outcome", '"ok" or "oom"', observation.outcome);
  }
}
