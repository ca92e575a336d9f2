import { invalid } from "../checks.ts";
import { fault } from "../errors.ts";
import { Arrivals } from "../optimise/arrivals.ts";
import { type FinishedRun, Recommender } from "../optimise/recommendation.ts";
import { type Exploration, Explorer, drawnArm } from "../resources/exploration.ts";
import {
  decideResources,
  efficientVcpus,
  type ResourceEvidence,
  slowdown,
} from "../resources/resource-decision.ts";
import type { FamilyLikeness, SizeQuery } from "../sizer/memory-policy.ts";
import { memoryText } from "../sizer/size-reasons.ts";
import type { MemoryEstimate } from "../sizer/sizer.ts";
import { type Decision, DECISION_VERSION, type Replayed, replayDecision } from "./decision.ts";
import {
  checkExperience,
  checkOutcome,
  type Experience,
  experienceOf,
  type Outcome,
} from "./experience.ts";
import { ExperienceMemory } from "./experience-memory.ts";
import { explainDecision } from "./explain.ts";
import { growthOf } from "./growth.ts";
import type { Brain } from "./brain.ts";
import { mergeExperiences, mergeTaught, readExport } from "./exchange.ts";
import type {
  BrainExport,
  BrainStatus,
  ExportedExperience,
  FamilyKnown,
  OptimisationPlan,
} from "./knowledge.ts";
import { Models, speedReasons } from "./models.ts";
import { efficiencyFloor, type ResolvedOptions } from "./options.ts";
import { restoring } from "../saved-shape.ts";
import { type Analysis, createUnderstander, type Understander } from "../understand/index.ts";
import { Scores } from "./scores.ts";
import { type BrainState, type MigratedState, STATE_VERSION } from "./state.ts";
import { checkTask, inputBytesOf, type Task, type TaskAnalysis } from "./task.ts";
import { WriteQueue } from "./write-queue.ts";

const MOST_OPEN_DECISIONS = 10_000;
const MOST_RECENT_RUNS = 1000;
const RECALLED = 5;
const LEAST_LIKENESS = 0.3;
const ENOUGH_SAMPLES = 5;

/** The one implementation of `Brain`. */
export class LearningBrain implements Brain {
  readonly #options: ResolvedOptions;
  readonly #writes: WriteQueue;
  #models: Models;
  #understander: Understander;
  #memory: ExperienceMemory;
  readonly #open = new Map<string, { decision: Decision; analysis: TaskAnalysis }>();
  #arrivals = new Arrivals();
  #recommender = new Recommender();
  #scores = new Scores();
  #vcpuExplorer: Explorer;
  #memoryExplorer: Explorer;
  #runs: FinishedRun[] = [];
  #nextId = 1;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#writes = new WriteQueue();
    this.#models = new Models(options);
    this.#understander = options.understander ?? createUnderstander();
    this.#memory = new ExperienceMemory(options.capacity);
    this.#vcpuExplorer = new Explorer(options.exploration, options.seed);
    this.#memoryExplorer = new Explorer(options.exploration, options.seed + 1);
  }

  analyse(task: Task): TaskAnalysis {
    checkTask(task);
    const { request = {}, limits = {}, image } = task;
    const understood = this.#understander.understand(task);
    const family = task.family ?? understood.family;
    const inputBytes = task.inputBytes ?? inputBytesOf(understood);
    // A family with a record of its own needs nobody else's: the exact search is for new ones.
    const known = this.#models.memory.samples(family) >= ENOUGH_SAMPLES;
    const recalled = known ? [] : this.#recall(understood);
    return { ...understood, family, inputBytes, request, limits, image, recalled };
  }

  correct(analysis: TaskAnalysis, domain: string): void {
    this.#understander.correct(analysis, domain);
  }

  estimate(analysis: TaskAnalysis): Decision {
    const at = this.#options.clock.now();
    const { family, recalled } = analysis;
    const query: SizeQuery = {
      family,
      inputBytes: analysis.inputBytes,
      requestMib: analysis.request.memoryMib,
      at,
      alike: likenesses(recalled),
    };
    const decision = this.#decide(analysis, this.#models.memory.estimate(query), query, 1);
    this.#arrivals.add(decision.resources.sizeClass ?? "none", at);
    return decision;
  }

  retry(decision: Decision): Decision {
    const at = this.#options.clock.now();
    const { task, resources, evidence } = decision;
    const { memoryMib } = resources;
    const { limits } = evidence;
    if (limits.memoryMib !== undefined && memoryMib >= limits.memoryMib) {
      throw fault("QZ_BRAIN_MEMORY_CAP_REACHED", { failedMib: memoryMib });
    }
    const { family, inputBytes, requestMib } = task;
    const query = { family, inputBytes, requestMib, at };
    const attempt = decision.attempt + 1;
    const estimate = this.#models.memory.retry({
      ...query,
      attempt: decision.attempt,
      failedMib: memoryMib,
    });
    const analysis: TaskAnalysis = {
      ...task,
      confidence: task.domainConfidence,
      decided: false,
      domains: {},
      embedding: Float32Array.from(task.embedding),
      limits,
      request: requestMib === undefined ? {} : { memoryMib: requestMib },
      image: resources.image,
      recalled: decision.recalled,
    };
    return this.#decide(analysis, estimate, query, attempt);
  }

  learn(outcome: Outcome, given?: Decision): Experience {
    checkOutcome(outcome);
    const { decisionId } = outcome;
    const decision = this.#open.get(decisionId)?.decision ?? given;
    if (decision === undefined) throw fault("QZ_BRAIN_DECISION_UNKNOWN", { decisionId });
    if (decision.id !== decisionId) throw invalid("decision.id", decisionId, decision.id);
    const experience = experienceOf(decision, outcome, outcome.at ?? this.#options.clock.now());
    checkExperience(experience);
    const analysis = this.#open.get(decisionId)?.analysis;
    this.#open.delete(decisionId);
    const first = this.#models.memory.samples(experience.family) < ENOUGH_SAMPLES;
    if (experience.outcome === "ok" && first && analysis !== undefined) {
      this.#understander.confirm(analysis);
    }
    this.#absorb(experience, decision);
    const { store } = this.#options;
    if (store !== undefined) this.#writes.add(() => store.putExperience(experience));
    return experience;
  }

  explain(decision: Decision): string {
    return explainDecision(decision);
  }

  replay(decision: Decision): Replayed {
    return replayDecision(decision);
  }

  status(): BrainStatus {
    this.#models.advance(this.#options.clock.now());
    const { finished, oom, wasteGibHours, covered } = this.#scores.save();
    const families = this.#models.memory.families();
    const uncertain = families
      .flatMap(({ family, heldShare }) => (heldShare === undefined ? [] : [{ family, heldShare }]))
      .filter(({ heldShare }) => heldShare < 0.95)
      .sort((a, b) => a.heldShare - b.heldShare);
    const tried = this.#vcpuExplorer.tried + this.#memoryExplorer.tried;
    return {
      experiences: this.#memory.size,
      families: families.filter(({ samples }) => samples > 0).length,
      decisions: this.#nextId - 1,
      finished,
      oom,
      wasteGibHours,
      coverage: mean(covered),
      explored: {
        tried,
        failedShare: Math.max(this.#vcpuExplorer.failedShare, this.#memoryExplorer.failedShare),
      },
      uncertain: uncertain.slice(0, 10),
      failedWrites: this.#writes.failed,
    };
  }

  knowledge(): FamilyKnown[] {
    this.#models.advance(this.#options.clock.now());
    return this.#models.memory
      .families()
      .filter(({ samples }) => samples > 0)
      .sort((a, b) => b.samples - a.samples)
      .map((summary) => {
        const family = this.#models.family(summary.family);
        const speed = family?.throughput.estimate(family.throughput.usualInputBytes);
        return {
          ...summary,
          workSeconds: speed?.work.middle,
          serialShare: speed?.serialShare,
          busyGpus: family?.busyGpus,
          growth: growthOf(this.#memory.family(summary.family)),
        };
      });
  }

  optimize(): OptimisationPlan {
    const { sizeClasses: classes, costs, clock } = this.#options;
    const now = clock.now();
    const situation = { arrivals: this.#arrivals, runs: this.#runs, classes, costs, now };
    const recommendations = this.#recommender.recommend(situation);
    return { recommendations, scored: [...this.#recommender.scored] };
  }

  export(): BrainExport {
    const experiences = Array.from(this.#memory.all(), (experience): ExportedExperience => ({
      ...experience,
      embedding: [...experience.embedding],
    }));
    return { format: "queztl-brain", state: this.#save(), experiences };
  }

  import(exported: unknown): void {
    const { state, experiences } = readExport(exported);
    this.load(state, experiences);
    this.#putStored(experiences);
  }

  merge(exported: unknown): void {
    const { state, experiences } = readExport(exported);
    const ordered = mergeExperiences([...this.#memory.all()], experiences);
    restoring("anything", state, () => {
      const taught = mergeTaught(this.#understander.save(), state.understanding);
      const understander = createUnderstander(taught);
      const models = new Models(this.#options);
      const { memory, forgotten } = this.#remembering(ordered, models, new Set());
      this.#understander = understander;
      this.#models = models;
      this.#memory = memory;
      this.#putStored(ordered);
      this.#deleteStored(forgotten);
    });
  }

  async flush(): Promise<void> {
    const { store } = this.#options;
    if (store !== undefined) {
      const state = this.#save();
      this.#writes.add(() => store.saveState(state));
    }
    await this.#writes.drain();
  }

  /** Takes over a state and the experiences that belong to it; those learned after it was saved are learned now. */
  load(state: MigratedState | undefined, experiences: readonly Experience[]): void {
    const ordered = experiences.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
    // Everything is read before anything is replaced: a state that cannot be read changes nothing.
    restoring("anything", state, () => {
      const parts = this.#partsOf(state);
      const learned = new Set(state?.learned);
      const { memory, forgotten } = this.#remembering(ordered, parts.models, learned);
      this.#models = parts.models;
      this.#understander = parts.understander;
      this.#arrivals = parts.arrivals;
      this.#recommender = parts.recommender;
      this.#scores = parts.scores;
      this.#vcpuExplorer = parts.vcpuExplorer;
      this.#memoryExplorer = parts.memoryExplorer;
      this.#runs = [...(state?.runs ?? [])];
      this.#memory = memory;
      this.#open.clear();
      this.#deleteStored(forgotten);
    });
    this.#nextId = state?.nextId ?? 1;
    for (const { id } of ordered) {
      const number = Number(id.split("-").at(-1));
      if (Number.isSafeInteger(number)) this.#nextId = Math.max(this.#nextId, number + 1);
    }
  }

  /** Fills a memory with experiences and teaches the models those that they have not `learned` yet. */
  #remembering(
    experiences: readonly Experience[],
    models: Models,
    learned: ReadonlySet<string>,
  ): { memory: ExperienceMemory; forgotten: string[] } {
    const memory = new ExperienceMemory(this.#options.capacity);
    const forgotten: string[] = [];
    for (const experience of experiences) {
      forgotten.push(...memory.add(experience));
      if (learned.has(experience.id)) continue;
      models.learn(experience);
      models.advance(experience.at);
    }
    return { memory, forgotten };
  }

  #deleteStored(ids: readonly string[]): void {
    const { store } = this.#options;
    if (store !== undefined)
      for (const id of ids) this.#writes.add(() => store.deleteExperience(id));
  }

  #putStored(experiences: readonly Experience[]): void {
    const { store } = this.#options;
    if (store === undefined) return;
    for (const experience of experiences) this.#writes.add(() => store.putExperience(experience));
  }

  #partsOf(state: MigratedState | undefined) {
    const { exploration, seed, understander } = this.#options;
    const parts = {
      models: new Models(this.#options, state),
      understander:
        state?.understanding === undefined
          ? (understander ?? createUnderstander())
          : createUnderstander(state.understanding),
      arrivals: new Arrivals(),
      recommender: new Recommender(),
      scores: new Scores(),
      vcpuExplorer: new Explorer(exploration, seed),
      memoryExplorer: new Explorer(exploration, seed + 1),
    };
    parts.models.restoreFamilies(state?.families ?? []);
    if (state?.arrivals !== undefined) parts.arrivals.restore(state.arrivals);
    if (state?.recommendations !== undefined) parts.recommender.restore(state.recommendations);
    if (state?.scores !== undefined) parts.scores.restore(state.scores);
    if (state?.vcpuExplorer !== undefined) parts.vcpuExplorer.restore(state.vcpuExplorer);
    if (state?.memoryExplorer !== undefined) parts.memoryExplorer.restore(state.memoryExplorer);
    return parts;
  }

  #recall({ embedding, features }: Analysis): TaskAnalysis["recalled"] {
    return this.#memory
      .nearest({ embedding, features, limit: RECALLED })
      .filter(({ similarity }) => similarity >= LEAST_LIKENESS)
      .map(({ entry, similarity }) => ({
        experienceId: entry.id,
        family: entry.family,
        similarity,
      }));
  }

  #decide(
    analysis: TaskAnalysis,
    memory: MemoryEstimate,
    query: SizeQuery,
    attempt: number,
  ): Decision {
    const { at } = query;
    const disk = this.#models.disk.estimate({ ...query, requestMib: undefined });
    const evidence = this.#evidence(analysis, memory, disk, attempt);
    const resources = decideResources(evidence);
    const { throughput, limits } = evidence;
    const time = throughput && slowdown(throughput.serialShare, resources.vcpus);
    const reasons = [...memory.reasons, ...speedReasons(evidence, resources.vcpus)];
    if (limits.memoryMib !== undefined && resources.memoryMib === limits.memoryMib) {
      reasons.push(`its user allows no more than ${memoryText(limits.memoryMib)}`);
    }
    const decision: Decision = {
      id: `${this.#options.name}-${this.#nextId}`,
      at,
      version: DECISION_VERSION,
      task: {
        family: analysis.family,
        domain: analysis.domain,
        domainConfidence: analysis.confidence,
        inputBytes: analysis.inputBytes,
        requestMib: query.requestMib ?? undefined,
        features: analysis.features,
        embedding: [...analysis.embedding],
        reasons: analysis.reasons.slice(0, 5),
      },
      attempt,
      resources,
      expected: {
        memoryMib: memory.interval,
        seconds:
          throughput === undefined || time === undefined
            ? undefined
            : [throughput.work.low * time, throughput.work.high * time],
        diskMib: disk.interval,
      },
      confidence: memory.confidence,
      reasons,
      recalled: analysis.recalled,
      evidence,
    };
    this.#nextId += 1;
    this.#open.set(decision.id, { decision, analysis });
    if (this.#open.size > MOST_OPEN_DECISIONS) {
      const [oldest] = this.#open.keys();
      if (oldest !== undefined) this.#open.delete(oldest);
    }
    const { store } = this.#options;
    if (store !== undefined) this.#writes.add(() => store.putDecision(decision));
    return decision;
  }

  #evidence(
    { family: name, inputBytes, features, request, limits, image }: TaskAnalysis,
    memory: MemoryEstimate,
    disk: MemoryEstimate,
    attempt: number,
  ): ResourceEvidence {
    const { mostVcpus, mostGpus, defaultImage, sizeClasses, policy } = this.#options;
    const family = this.#models.family(name);
    const plain: ResourceEvidence = {
      memory: memory.evidence,
      memoryExploration: UNTRIED,
      disk: disk.evidence,
      throughput: family?.throughput.estimate(inputBytes),
      vcpuExploration: UNTRIED,
      defaultVcpus: request.vcpus ?? this.#options.defaultVcpus,
      mostVcpus,
      efficiencyFloor: efficiencyFloor(policy),
      busyGpus: family?.busyGpus,
      wantedGpus: request.gpus ?? features["gpus"] ?? 0,
      mostGpus,
      images: image === undefined ? (family?.images ?? []) : [],
      defaultImage: image ?? defaultImage,
      limits,
      sizeClasses,
    };
    // A retry has failed once already: it is no time for trying things.
    if (attempt > 1 || plain.throughput === undefined || plain.throughput.samples < 3) return plain;
    const best = efficientVcpus(plain);
    const alternatives = [
      ...(best > 1 ? [{ name: "half", factor: 0.5 } as const] : []),
      ...(best * 2 <= Math.min(mostVcpus, limits.vcpus ?? mostVcpus)
        ? [{ name: "double", factor: 2 } as const]
        : []),
    ];
    const widths = family?.throughput.widths.size ?? 0;
    const uncertainty = widths <= 1 ? 1 : 1 / widths ** 2;
    const { elasticAboveMib } = memory;
    const probed = memory.memoryMib * PROBE.factor;
    const probing = elasticAboveMib !== undefined && probed > elasticAboveMib;
    return {
      ...plain,
      vcpuExploration: this.#vcpuExplorer.offer(alternatives, uncertainty),
      memoryExploration: this.#memoryExplorer.offer(probing ? [PROBE] : [], 1),
    };
  }

  #absorb(experience: Experience, decision: Decision): void {
    const { evidence, expected } = decision;
    if (drawnArm(evidence.vcpuExploration).name !== "same") {
      this.#vcpuExplorer.learn(experience.outcome === "timeout");
    }
    if (drawnArm(evidence.memoryExploration).name !== "same") {
      this.#memoryExplorer.learn(experience.outcome === "oom");
    }
    this.#scores.learn(experience, expected.memoryMib);
    const { memoryMib, wallSeconds, at } = experience;
    this.#runs.push({ memoryMib, hours: wallSeconds / 3600, at });
    if (this.#runs.length > MOST_RECENT_RUNS) this.#runs.shift();
    this.#models.learn(experience);
    this.#deleteStored(this.#memory.add(experience));
  }

  #save(): BrainState {
    this.#models.advance(this.#options.clock.now());
    return {
      version: STATE_VERSION,
      at: this.#options.clock.now(),
      nextId: this.#nextId,
      memory: this.#models.memory.save(),
      disk: this.#models.disk.save(),
      understanding: this.#understander.save(),
      families: this.#models.saveFamilies(),
      vcpuExplorer: this.#vcpuExplorer.save(),
      memoryExplorer: this.#memoryExplorer.save(),
      arrivals: this.#arrivals.save(),
      recommendations: this.#recommender.save(),
      scores: this.#scores.save(),
      runs: [...this.#runs],
      learned: Array.from(this.#memory.all(), ({ id }) => id),
    };
  }
}

const PROBE = { name: "three quarters", factor: 0.75 } as const;

const UNTRIED: Exploration = { arms: [{ name: "same", factor: 1, propensity: 1 }], draw: 0 };

/** The best likeness of each family among what was recalled. */
function likenesses(recalled: TaskAnalysis["recalled"]): FamilyLikeness[] {
  const best = new Map<string, number>();
  for (const { family, similarity } of recalled) {
    best.set(family, Math.max(best.get(family) ?? 0, Math.min(1, similarity)));
  }
  return Array.from(best, ([family, similarity]) => ({ family, similarity }));
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
