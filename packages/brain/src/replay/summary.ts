/** One policy on one trace, as the command prints it. */
export interface ReplayRow {
  readonly trace: string;
  readonly policy: string;
  readonly tasks: number;
  readonly wasteGibHours: number;
  readonly tasksWithOom: number;
  readonly lostHours: number;
}

/** A policy over all traces, against a baseline. */
export interface PolicySummary {
  readonly policy: string;
  readonly tasks: number;
  readonly wasteGibHours: number;
  readonly tasksWithOom: number;
  readonly lostHours: number;
  /** The geometric mean over the traces of its waste over the baseline's, with a 95 % bootstrap over traces. */
  readonly ratio: number | undefined;
  readonly ratioInterval: readonly [number, number] | undefined;
}

const RESAMPLES = 2000;

/** Sums rows by policy and compares each with `baseline` where that was replayed too. */
export function summarise(rows: readonly ReplayRow[], baseline: string): PolicySummary[] {
  const wasteOf = new Map(rows.map((row) => [`${row.policy} ${row.trace}`, row.wasteGibHours]));
  const byPolicy = new Map<string, ReplayRow[]>();
  for (const row of rows) byPolicy.set(row.policy, [...(byPolicy.get(row.policy) ?? []), row]);
  return Array.from(byPolicy, ([policy, own]) => {
    const logs = own.flatMap(({ trace, wasteGibHours }) => {
      const theirs = wasteOf.get(`${baseline} ${trace}`);
      return theirs === undefined || theirs <= 0 || wasteGibHours <= 0
        ? []
        : [Math.log(wasteGibHours / theirs)];
    });
    const sum = (pick: (row: ReplayRow) => number) =>
      own.reduce((total, row) => total + pick(row), 0);
    return {
      policy,
      tasks: sum((row) => row.tasks),
      wasteGibHours: sum((row) => row.wasteGibHours),
      tasksWithOom: sum((row) => row.tasksWithOom),
      lostHours: sum((row) => row.lostHours),
      ratio: logs.length === 0 ? undefined : Math.exp(mean(logs)),
      ratioInterval: logs.length < 2 ? undefined : bootstrap(logs),
    };
  });
}

function bootstrap(logs: readonly number[]): [number, number] {
  const random = lehmer(20_241);
  const means: number[] = [];
  for (let i = 0; i < RESAMPLES; i += 1) {
    means.push(mean(logs.map(() => logs[Math.floor(random() * logs.length)] as number)));
  }
  means.sort((a, b) => a - b);
  const at = (share: number) => Math.exp(means[Math.floor(share * RESAMPLES)] as number);
  return [at(0.025), at(0.975)];
}

const mean = (values: readonly number[]) =>
  values.reduce((total, value) => total + value, 0) / values.length;

/** Park and Miller's generator: the same interval on every run. */
function lehmer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
