/** What is known before an attempt: which program, how large its input, what its user asked for. */
export interface SizeQuery {
  /** The kind of task: tasks of one family are expected to behave alike. */
  readonly family: string;
  /** Bytes the task will read; 0 where unknown. */
  readonly inputBytes: number;
  /**
   * What the user asked for, in MiB: the answer while nothing is known, never a limit. `null` (as JSON
   * says it) is the same as leaving it out.
   */
  readonly requestMib?: number | null | undefined;
  /** Now, in seconds of any one clock. */
  readonly at: number;
  /** Families that are like this one for other reasons than their names, such as their descriptions. */
  readonly alike?: readonly FamilyLikeness[] | undefined;
}

/** How alike a family is, 0 to 1. */
export interface FamilyLikeness {
  readonly family: string;
  readonly similarity: number;
}

/** What is known after an attempt died for lack of memory. */
export interface RetryQuery extends SizeQuery {
  /** How many attempts have failed so far, from 1. */
  readonly attempt: number;
  /** What the failed attempt had, in MiB. */
  readonly failedMib: number;
}

/** How one attempt ended. */
export interface SizeObservation {
  readonly family: string;
  readonly inputBytes: number;
  readonly requestMib?: number | null | undefined;
  /** What the attempt was given, in MiB. */
  readonly allocatedMib: number;
  /** The most it used, in MiB. After an OOM the true need is only known to exceed `allocatedMib`. */
  readonly peakMib: number;
  readonly runtimeSeconds: number;
  readonly outcome: "ok" | "oom";
  /** When the outcome became known, in seconds of the same clock as the queries. */
  readonly at: number;
}

/** Anything that sizes memory: the brain's sizer and every baseline it is measured against. */
export interface MemoryPolicy {
  estimate(query: SizeQuery): { readonly memoryMib: number };
  retry(query: RetryQuery): { readonly memoryMib: number };
  observe(observation: SizeObservation): void;
}
