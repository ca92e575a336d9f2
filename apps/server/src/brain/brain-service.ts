import type { Explanation, ServiceOf } from "@queztl/api";
import { type BrainStatus, DECISION_VERSION, type Decision, type Resources } from "@queztl/brain";
import { isQueztlError } from "@queztl/errors";
import { readFile } from "node:fs/promises";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Files } from "../files/files.ts";
import type { OptimisationCycle } from "../optimise/cycle.ts";
import type { BrainHost } from "./brain-host.ts";

/** What the brain's service is made of. */
export interface BrainServiceParts {
  readonly host: BrainHost;
  readonly files: Files;
  readonly events: EventLog;
  readonly cycle: OptimisationCycle;
}

/** The API's side of the brain. */
export function createBrainService(parts: BrainServiceParts): ServiceOf<"brain"> {
  const { host, files, events, cycle } = parts;
  return {
    status: async () => statusOf(host.brain.status()),
    async knowledge({ family, limit, cursor = "0" }) {
      const from = /^\d{1,9}$/.test(cursor) ? Number(cursor) : 0;
      const known = host.brain
        .knowledge()
        .filter((each) => family === undefined || each.family === family);
      const items = known.slice(from, from + limit).map(({ peakMib, ...each }) => ({
        family: each.family,
        samples: each.samples,
        leastPeakMib: peakMib[0],
        mostPeakMib: peakMib[1],
        heldShare: each.heldShare ?? null,
        intervalCoverage: each.intervalCoverage ?? null,
        workSeconds: each.workSeconds ?? null,
        serialShare: each.serialShare ?? null,
        busyGpus: each.busyGpus ?? null,
        elastic: each.elastic,
        growth:
          each.growth === undefined
            ? null
            : {
                leastInputBytes: each.growth.inputBytes[0],
                mostInputBytes: each.growth.inputBytes[1],
                memoryPerTenfold: each.growth.memoryPerTenfold,
                timePerTenfold: each.growth.timePerTenfold,
              },
      }));
      return { items, nextCursor: from + limit < known.length ? String(from + limit) : null };
    },
    async explain({ task, decision }) {
      const found = await host.store.find(
        task === undefined ? { decision: decision ?? "" } : { task },
      );
      if (found === undefined) {
        const [kind, wanted] = task === undefined ? ["decision", decision] : ["decision for", task];
        throw serverErrors("QZ_SERVER_NOT_FOUND", { kind, wanted });
      }
      return explanationOf(host, found);
    },
    optimize: ({ dryRun }) => cycle.run({ dryRun }),
    async forget({ experience, family, before, all }, { principal, requestId }) {
      const limit = before === undefined ? 0 : Date.parse(before) / 1000;
      const experiences = await host.forget(
        (each) =>
          all === true ||
          each.id === experience ||
          each.family === family ||
          (before !== undefined && each.at < limit),
      );
      await events.record({
        type: "brain.forgot",
        message: `the brain forgot ${experiences} runs`,
        details: { experiences },
        actor: principal.tokenId,
        requestId,
      });
      return { experiences };
    },
    export: async () => files.keep("brain.json", Buffer.from(JSON.stringify(host.brain.export()))),
    async import({ file, mode }, { principal, requestId }) {
      const { path } = await files.whole(file);
      const exported = parsed(await readFile(path, "utf8"));
      if (mode === "replace") host.brain.import(exported);
      else host.brain.merge(exported);
      await host.flush();
      await events.record({
        type: "brain.imported",
        message: `knowledge was ${mode === "merge" ? "added" : "replaced"}`,
        actor: principal.tokenId,
        requestId,
      });
      return statusOf(host.brain.status());
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    // The brain says in its own code what is wrong with what is no export.
    return undefined;
  }
}

const statusOf = (status: BrainStatus) => ({
  experiences: status.experiences,
  families: status.families,
  decisions: status.decisions,
  finished: status.finished,
  outOfMemory: status.oom,
  wasteGibHours: status.wasteGibHours,
  coverage: status.coverage ?? null,
  exploredRuns: status.explored.tried,
  exploredFailedShare: status.explored.failedShare,
  uncertain: status.uncertain.map((each) => ({ ...each })),
  modelVersion: DECISION_VERSION,
});

/** What the contract shows of a decision's resources. */
export const decidedResourcesOf = (resources: Resources) => ({
  cpu: resources.vcpus,
  memoryMib: resources.memoryMib,
  gpu: resources.gpus,
  diskMib: Math.ceil(resources.diskMib),
  timeLimitSeconds: resources.timeLimitSeconds,
  image: resources.image,
  sizeClass: resources.sizeClass ?? null,
});

function explanationOf(
  { brain }: BrainHost,
  { decision, task, attempt }: { decision: Decision; task: string | null; attempt: number },
): Explanation {
  const { expected, evidence } = decision;
  const least = Math.min(...evidence.memory.candidates.map(({ score }) => score));
  return {
    decision: decision.id,
    at: new Date(decision.at * 1000).toISOString(),
    task,
    attempt,
    family: decision.task.family,
    domain: decision.task.domain,
    domainConfidence: clamped(decision.task.domainConfidence),
    inputBytes: decision.task.inputBytes,
    resources: decidedResourcesOf(decision.resources),
    expectedMemoryMib: { low: expected.memoryMib[0], high: expected.memoryMib[1] },
    expectedSeconds:
      expected.seconds === undefined
        ? null
        : { low: expected.seconds[0], high: expected.seconds[1] },
    confidence: clamped(decision.confidence),
    reasons: [...decision.reasons, ...decision.task.reasons]
      .slice(0, 64)
      .map((reason) => reason.slice(0, 1000)),
    recalled: decision.recalled.slice(0, 64).map(({ experienceId, family, similarity }) => ({
      experience: experienceId,
      family,
      similarity: clamped(similarity),
    })),
    considered: evidence.memory.candidates.slice(0, 64).map(({ name, memoryMib, score }) => ({
      name: name.slice(0, 64),
      memoryMib,
      relativeCost: least > 0 ? score / least : 1,
    })),
    repeats: brain.replay(decision).identical,
    text: brain.explain(decision).slice(0, 65_536),
  };
}

const clamped = (share: number) => Math.min(1, Math.max(0, share));
