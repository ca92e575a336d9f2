/** What a `<name>.bench.ts` file exports as its default: questions about speed or size. */
export interface Bench {
  /** One sentence for the table's head: what is compared, and why it matters. */
  readonly summary: string;
  /** How often every subject is measured; 15 unless said, `--rounds` goes before both. */
  readonly rounds?: number;
  readonly cases: readonly Case[];
}

/** One row of the table: the same work done by us and by each peer. */
export interface Case {
  readonly name: string;
  /** Cases of one group also get the geometric mean of their ratios. */
  readonly group?: string;
  /** The unit of every sample: `ns`, `ms`, `MiB/s`, `KiB`… */
  readonly unit: string;
  readonly better: "lower" | "higher";
  /** Whether the worst samples matter too: the table then also says where 95 and 99 % of them lie. */
  readonly tails?: boolean;
  /** What 99 % of the samples, or the only one, are to stay below; shown beside them. */
  readonly target?: number;
  /** Where one sample holds much: how often this case's subjects are measured, whatever the bench says. */
  readonly rounds?: number;
  readonly ours: Subject;
  readonly peers: readonly Subject[];
}

/** Something that can be measured again and again. */
export interface Subject {
  readonly name: string;
  /** What must be installed first; a subject whose needs cannot be met is shown as unavailable. */
  readonly needs?: Needs;
  /** Runs once before the first sample; not measured. */
  setup?(): void | Promise<void>;
  /** Takes one sample, in the case's unit. */
  measure(): number | Promise<number>;
  /** The most memory that its work took, in MiB, over all samples; asked once, after the last. */
  peakMib?(): number;
  /** Runs once after the last sample, also when a sample failed. */
  teardown?(): void | Promise<void>;
}

/** Peers come from the registries by name; nothing of theirs is kept in the repository. */
export interface Needs {
  /** Debian packages: `["qemu-system-x86"]`. Installed with apt-get where we are root. */
  readonly debian?: readonly string[];
  /** npm packages with their exact version: `["v86@0.5.462"]`. Installed in `benchmarks/.peers`. */
  readonly npm?: readonly string[];
}

/** Types a bench; returns it unchanged. */
export function defineBench(bench: Bench): Bench {
  return bench;
}
