import { decideSize, type SizeEvidence } from "../sizer/size-decision.ts";
import { drawnArm, type Exploration } from "./exploration.ts";
import { type SizeClass, smallestClass } from "./size-class.ts";
import type { ThroughputEstimate } from "./throughput-model.ts";

/** What a task may have at most; a limit always wins over an estimate. */
export interface ResourceLimits {
  readonly memoryMib?: number | undefined;
  readonly vcpus?: number | undefined;
  readonly gpus?: number | undefined;
  readonly diskMib?: number | undefined;
  readonly timeSeconds?: number | undefined;
}

/** What a task is given. */
export interface Resources {
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly gpus: number;
  readonly diskMib: number;
  readonly timeLimitSeconds: number;
  /** The template to start from. */
  readonly image: string;
  /** The class whose VM is used, undefined where none is large enough. */
  readonly sizeClass: string | undefined;
}

/** Everything `decideResources` looks at. */
export interface ResourceEvidence {
  readonly memory: SizeEvidence;
  readonly memoryExploration: Exploration;
  readonly disk: SizeEvidence;
  readonly throughput: ThroughputEstimate | undefined;
  readonly vcpuExploration: Exploration;
  /** vCPUs without any experience. */
  readonly defaultVcpus: number;
  readonly mostVcpus: number;
  /** The least parallel efficiency a further doubling of vCPUs must keep. */
  readonly efficiencyFloor: number;
  /** GPUs kept busy on average by runs that had some, undefined without experience. */
  readonly busyGpus: number | undefined;
  /** GPUs that the description or the user asks for. */
  readonly wantedGpus: number;
  readonly mostGpus: number;
  readonly images: readonly { readonly image: string; readonly successes: number }[];
  readonly defaultImage: string;
  readonly limits: ResourceLimits;
  readonly sizeClasses: readonly SizeClass[];
}

// Twice the longest seen kills 2.4 % of good tasks, five times 0.8 % (measured): limits are generous.
const TIME_LIMIT_FACTOR = 5;
const LEAST_TIME_LIMIT_SECONDS = 300;
const UNKNOWN_TIME_LIMIT_SECONDS = 6 * 3600;

/** Amdahl's efficiency of c vCPUs at a serial share: 1 / (s·c + 1 − s). */
export const efficiency = (serialShare: number, vcpus: number): number =>
  1 / (serialShare * vcpus + 1 - serialShare);

/** A run's time relative to one vCPU: s + (1 − s) / c. */
export const slowdown = (serialShare: number, vcpus: number): number =>
  serialShare + (1 - serialShare) / vcpus;

/**
 * The whole decision as a pure function of its evidence: only comparisons, sums, products and rounding, so that it
 * repeats bit for bit on any computer.
 */
export function decideResources(evidence: ResourceEvidence): Resources {
  const { limits, memory, disk } = evidence;
  const { grid } = memory;
  const sized = decideSize(memory).memoryMib;
  const probe = drawnArm(evidence.memoryExploration).factor;
  const stepped = Math.ceil((sized * probe) / grid.stepMib) * grid.stepMib;
  const memoryMib = atMost(Math.max(stepped, grid.floorMib), limits.memoryMib);
  const vcpus = atMost(decideVcpus(evidence), limits.vcpus);
  return {
    memoryMib,
    vcpus,
    gpus: atMost(decideGpus(evidence), limits.gpus),
    diskMib: atMost(decideSize(disk).memoryMib, limits.diskMib),
    timeLimitSeconds: atMost(decideTimeLimit(evidence, vcpus), limits.timeSeconds),
    image: decideImage(evidence),
    sizeClass: smallestClass(evidence.sizeClasses, { vcpus, memoryMib })?.name,
  };
}

/** The vCPUs that the best known efficiency asks for, before exploration. */
export function efficientVcpus(evidence: ResourceEvidence): number {
  const { throughput, defaultVcpus, mostVcpus, efficiencyFloor } = evidence;
  if (throughput === undefined || throughput.parallelRuns === 0) {
    return Math.min(defaultVcpus, mostVcpus);
  }
  let vcpus = 1;
  while (
    vcpus * 2 <= mostVcpus &&
    efficiency(throughput.serialShare, vcpus * 2) >= efficiencyFloor
  ) {
    vcpus *= 2;
  }
  return vcpus;
}

function decideVcpus(evidence: ResourceEvidence): number {
  const wanted = efficientVcpus(evidence) * drawnArm(evidence.vcpuExploration).factor;
  return Math.max(1, Math.min(Math.floor(wanted), evidence.mostVcpus));
}

function decideGpus({ busyGpus, wantedGpus, mostGpus }: ResourceEvidence): number {
  // A tenth of one GPU is what an idle driver shows: less means that none is used.
  const used = busyGpus === undefined ? wantedGpus : busyGpus < 0.1 ? 0 : Math.ceil(busyGpus);
  return Math.min(used, mostGpus);
}

function decideTimeLimit({ throughput }: ResourceEvidence, vcpus: number): number {
  if (throughput === undefined) return UNKNOWN_TIME_LIMIT_SECONDS;
  const expected = throughput.work.high * slowdown(throughput.serialShare, vcpus);
  const longest = Math.max(expected, throughput.longestSeconds);
  return Math.max(LEAST_TIME_LIMIT_SECONDS, Math.ceil(longest * TIME_LIMIT_FACTOR));
}

function decideImage({ images, defaultImage }: ResourceEvidence): string {
  let best = { image: defaultImage, successes: 0 };
  for (const candidate of images) if (candidate.successes > best.successes) best = candidate;
  return best.image;
}

const atMost = (value: number, limit: number | undefined) =>
  limit === undefined ? value : Math.min(value, limit);
