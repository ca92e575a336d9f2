import type { Bench, Case, Subject } from "./bench.ts";
import { type Interval, median, medianInterval, quantile, spread } from "./statistics.ts";

export interface SubjectResult {
  readonly name: string;
  readonly samples: readonly number[];
  /** Of the samples, in the case's unit. */
  readonly median: number;
  /** Distance between the quartiles over the median. */
  readonly spread: number;
  /** Where 95 and 99 % of the samples are as good, where the case asks for it. */
  readonly tails?: { readonly p95: number; readonly p99: number };
  /** The most memory that the work took, in MiB, where the subject says it. */
  readonly peakMib?: number;
}

/** A peer beside ours; `unavailable` says why it has no samples. */
export type PeerResult =
  | { readonly name: string; readonly unavailable: string }
  | (SubjectResult & { readonly ratio: Ratio });

/** How many times better ours is than a peer: above 1 is better, whatever the unit. */
export interface Ratio extends Interval {
  readonly median: number;
}

export interface CaseResult {
  readonly name: string;
  readonly group?: string;
  readonly unit: string;
  readonly better: Case["better"];
  readonly target?: number;
  readonly ours: SubjectResult;
  readonly peers: readonly PeerResult[];
}

export interface SessionOptions {
  readonly rounds: number;
  /** Makes a subject's needs available; throws with the reason where it cannot. */
  readonly provide: (subject: Subject) => Promise<void>;
  readonly progress?: (line: string) => void;
}

/**
 * Measures a bench's cases. Within a case every round takes one sample of every subject, beginning
 * with another one each round, so that whatever the machine does meanwhile touches all alike; the
 * ratio is of samples of the same round. A first, unrecorded round warms up.
 */
export async function runSession(bench: Bench, options: SessionOptions): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const each of bench.cases) results.push(await runCase(each, options));
  return results;
}

async function runCase(each: Case, options: SessionOptions): Promise<CaseResult> {
  const runs = [each.ours, ...each.peers].map((subject) => ({
    subject,
    samples: [] as number[],
    unavailable: undefined as string | undefined,
  }));
  // A peer that fails is shown as unavailable; a failure of ours ends the session.
  const attempt = async (run: (typeof runs)[number], act: () => unknown) => {
    if (run.unavailable !== undefined) return;
    try {
      await act();
    } catch (error) {
      if (run.subject === each.ours) throw error;
      run.unavailable = error instanceof Error ? error.message : String(error);
    }
  };
  try {
    for (const run of runs) {
      await attempt(run, async () => {
        await options.provide(run.subject);
        await run.subject.setup?.();
        await run.subject.measure();
      });
    }
    const rounds = Math.min(options.rounds, each.rounds ?? Infinity);
    for (let round = 0; round < rounds; round += 1) {
      options.progress?.(`${each.name}: round ${round + 1} of ${rounds}`);
      for (let turn = 0; turn < runs.length; turn += 1) {
        const run = runs[(round + turn) % runs.length];
        if (run === undefined) continue;
        await attempt(run, async () => run.samples.push(await run.subject.measure()));
      }
    }
  } finally {
    for (const { subject } of runs) await subject.teardown?.();
  }
  const [ours, ...peers] = runs.map(({ subject, samples, unavailable }) => ({
    unavailable,
    measured: {
      name: subject.name,
      samples,
      median: median(samples),
      spread: spread(samples),
      ...(each.tails && { tails: tailsOf(each.better, samples) }),
      ...(samples.length > 0 && subject.peakMib && { peakMib: subject.peakMib() }),
    },
  }));
  if (ours === undefined) throw new Error("a case has a subject of ours");
  return {
    name: each.name,
    ...(each.group !== undefined && { group: each.group }),
    unit: each.unit,
    better: each.better,
    ...(each.target !== undefined && { target: each.target }),
    ours: ours.measured,
    peers: peers.map(({ unavailable, measured }): PeerResult => {
      if (unavailable !== undefined) return { name: measured.name, unavailable };
      return { ...measured, ratio: ratioOf(each.better, ours.measured.samples, measured.samples) };
    }),
  };
}

function tailsOf(
  better: Case["better"],
  samples: readonly number[],
): { readonly p95: number; readonly p99: number } {
  const at = (share: number): number => quantile(samples, better === "lower" ? share : 1 - share);
  return { p95: at(0.95), p99: at(0.99) };
}

function ratioOf(better: Case["better"], ours: readonly number[], peer: readonly number[]): Ratio {
  const ratios = ratiosOf(better, ours, peer);
  return { median: median(ratios), ...medianInterval(ratios) };
}

/** How many times better each of our samples is than the peer's of the same round. */
export function ratiosOf(
  better: Case["better"],
  ours: readonly number[],
  peer: readonly number[],
): number[] {
  return ours.map((sample, round) => {
    const other = peer[round] ?? Number.NaN;
    return better === "lower" ? other / sample : sample / other;
  });
}
