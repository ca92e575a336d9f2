import { fault } from "../errors.ts";
import { vectorDimensions } from "../recall/hashed-vector.ts";
import { vectorFromBytes, vectorToBytes } from "../recall/recall.ts";
import { taskEvidence } from "./evidence.ts";
import { familyKey } from "./family.ts";
import { classifyText, trainedDomains } from "./head.ts";
import { spokenSizes, taskShape } from "./task-shape.ts";
import type { TaskFile } from "./task-shape.ts";
import { embedText, textFeatures } from "./text-features.ts";
import { bytesOfBase64 } from "./word-table.ts";

/** What is known of a task before it runs. */
export interface TaskDescription {
  /** The user's own words; the first 8,192 characters count. */
  readonly description: string;
  /** Any JSON value. */
  readonly data?: unknown;
  readonly files?: readonly TaskFile[];
}

/** What the brain makes of a task's words, data and files. */
export interface Analysis {
  /** The likeliest domain; `general` where nothing reaches the confidence to say more. */
  readonly domain: string;
  /** Probability that `domain` is right, 0 to 1. */
  readonly confidence: number;
  /** False where the words decide too little and `domain` is a fallback: ask, or compute generally. */
  readonly decided: boolean;
  /** Probability of each known domain; they sum to 1. */
  readonly domains: Readonly<Record<string, number>>;
  /** Stable key of tasks of this kind. */
  readonly family: string;
  /** Sizes and counts found in the data, the files and the words; finite and not negative. */
  readonly features: Readonly<Record<string, number>>;
  /** 256 numbers of length 1 for recall (all zero for a text without words). */
  readonly embedding: Float32Array;
  /** Plain words, strongest first. */
  readonly reasons: readonly string[];
}

/** What an understander has been taught, as a JSON value. */
export interface UnderstandState {
  readonly version: 1;
  /** Corrections and confirmations: base64 Float32 embedding, domain, strength. */
  readonly examples: readonly (readonly [embedding: string, domain: string, strength: number])[];
  /** Families by representative embedding. */
  readonly families: readonly (readonly [embedding: string, family: string])[];
}

/** A classifier that goes on learning. */
export interface Understander {
  /**
   * Reads a task. Deterministic for the same state; below 10 ms whatever the input. Throws
   * `QZ_BRAIN_DESCRIPTION_INVALID`, `QZ_BRAIN_DATA_INVALID`, `QZ_BRAIN_FILES_INVALID`.
   */
  understand(task: TaskDescription): Analysis;
  /**
   * The user says what it really was; a domain not heard before becomes known. Throws
   * `QZ_BRAIN_DOMAIN_INVALID`, `QZ_BRAIN_DOMAINS_FULL`.
   */
  correct(analysis: Analysis, domain: string): void;
  /** It ran and nobody objected: weak evidence for its domain, and its family becomes known. */
  confirm(analysis: Analysis): void;
  /** Known domains: the six, then taught ones. */
  readonly domains: readonly string[];
  save(): UnderstandState;
}

const fallbackDomain = "general";
const leastConfidence = 0.3;
const enoughKnown = 0.25;
const limits = { examples: 1000, families: 2000, domains: 64 };
const strengths = { corrected: 1, confirmed: 0.15 };
// A taught example counts by exp(sharpness × (cosine − 1)); `doubt` is what the trained head is
// worth against it: one correction outweighs the head on the same text and fades below 0.8.
const sharpness = 12;
const doubt = 0.15;
const sameFamily = 0.86;

/** Makes an understander, fresh or from what another one saved. Throws `QZ_BRAIN_STATE_INVALID`. */
export function createUnderstander(state?: UnderstandState): Understander {
  const taught: { embedding: Float32Array; domain: string; strength: number }[] = [];
  const families: { embedding: Float32Array; family: string }[] = [];
  let domains = [...trainedDomains];
  if (state !== undefined) restore(state);

  const teach = (embedding: Float32Array, domain: string, strength: number) => {
    checkDomain(domain);
    if (!domains.includes(domain)) {
      if (domains.length >= limits.domains) {
        throw fault("QZ_BRAIN_DOMAINS_FULL", { count: domains.length });
      }
      domains = [...domains, domain];
    }
    const same = taught.findIndex((e) => cosine(e.embedding, embedding) > 0.9999);
    if (same !== -1) {
      const old = taught[same];
      if (old !== undefined && old.strength > strength && old.domain !== domain) return;
      taught.splice(same, 1);
    } else if (taught.length >= limits.examples) {
      const weakest = Math.min(...taught.map((e) => e.strength));
      taught.splice(
        taught.findIndex((e) => e.strength === weakest),
        1,
      );
    }
    taught.push({ embedding: embedding.slice(), domain, strength });
  };

  function restore(saved: UnderstandState): void {
    if (saved.version !== 1) {
      throw fault("QZ_BRAIN_STATE_INVALID", { what: `version ${String(saved.version)}` });
    }
    try {
      for (const [bytes, domain, strength] of saved.examples.slice(-limits.examples)) {
        checkDomain(domain);
        if (!(strength > 0 && strength <= 1)) throw new RangeError(`strength ${strength}`);
        taught.push({ embedding: vectorFromBytes(bytesOfBase64(bytes)), domain, strength });
        if (!domains.includes(domain) && domains.length < limits.domains) domains.push(domain);
      }
      for (const [bytes, family] of saved.families.slice(-limits.families)) {
        if (typeof family !== "string") throw new TypeError("a family without a name");
        families.push({ embedding: vectorFromBytes(bytesOfBase64(bytes)), family });
      }
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : "a broken part";
      throw fault("QZ_BRAIN_STATE_INVALID", { what }, { cause });
    }
  }

  return {
    get domains() {
      return domains;
    },
    understand(task) {
      if (typeof task?.description !== "string") {
        throw fault("QZ_BRAIN_DESCRIPTION_INVALID", { type: typeof task?.description });
      }
      const shape = taskShape(task.data, task.files);
      const features = textFeatures({
        description: task.description,
        keys: shape.keys,
        files: shape.files,
      });
      const embedding = embedText(features);
      const evidence = taskEvidence(trainedDomains, shape.keys, shape.files);
      const trained = classifyText(features, evidence.scores);
      const nothing = features.known === 0 && evidence.named.length === 0;
      // Unknown words have a spelling, and the head an opinion on it; it is not worth hearing.
      const heard = evidence.named.length > 0 ? 1 : Math.min(1, features.known / enoughKnown);
      const base = trained.map(
        (p, at) => heard * p + (1 - heard) * (trainedDomains[at] === fallbackDomain ? 0.3 : 0.14),
      );
      const votes = vote(embedding);
      const probabilities = domains.map(
        (domain, at) =>
          (1 - votes.share) * (base[at] ?? 0) + votes.share * (votes.of.get(domain) ?? 0),
      );
      const best = probabilities.indexOf(Math.max(...probabilities));
      const sure = (probabilities[best] ?? 0) >= leastConfidence;
      const decided = sure && (!nothing || votes.share > 0.5);
      const chosen = decided ? best : domains.indexOf(fallbackDomain);
      const domain = domains[chosen] ?? fallbackDomain;
      const confidence = probabilities[chosen] ?? 0;

      const sizes = new Map([...spokenSizes(task.description), ...shape.features]);
      const known = nearestFamily(embedding);
      return {
        domain,
        confidence,
        decided,
        domains: Object.fromEntries(domains.map((name, at) => [name, probabilities[at] ?? 0])),
        family: known ?? familyKey(features.words, shape.files),
        features: Object.fromEntries(sizes),
        embedding,
        reasons: explain(),
      };

      function explain(): string[] {
        const reasons: string[] = [];
        if (!decided) {
          reasons.push(
            nothing
              ? "no words to go by that I know: treated as general compute"
              : `no domain is likely enough (best: ${domains[best] ?? ""}, ${percent(probabilities[best] ?? 0)}): treated as general compute`,
          );
        } else {
          const second = probabilities.reduce(
            (next, p, at) => (at !== chosen && p > (probabilities[next] ?? -1) ? at : next),
            chosen === 0 ? 1 : 0,
          );
          reasons.push(
            `${domain} is ${percent(confidence)} likely, next ${domains[second] ?? ""} with ${percent(probabilities[second] ?? 0)}`,
          );
          if (votes.share > 0.2) reasons.push("similar tasks were corrected or confirmed before");
          const telling = tellingWords(features.words, trainedDomains.indexOf(domain));
          if (telling.length > 0) reasons.push(`words that point there: ${telling.join(", ")}`);
        }
        if (evidence.named.length > 0)
          reasons.push(`found ${evidence.named.slice(0, 4).join(", ")}`);
        if (!nothing && features.known < 0.4) reasons.push("most of the words are not known to me");
        const largest = [...sizes].filter(([, value]) => value > 0).slice(0, 4);
        if (largest.length > 0) {
          reasons.push(`sizes: ${largest.map(([name, value]) => `${name} ${value}`).join(", ")}`);
        }
        return [...reasons, ...shape.notes];
      }
    },
    correct(analysis, domain) {
      teach(checkedEmbedding(analysis), domain, strengths.corrected);
      remember(analysis);
    },
    confirm(analysis) {
      if (analysis.decided) teach(checkedEmbedding(analysis), analysis.domain, strengths.confirmed);
      remember(analysis);
    },
    save: () => ({
      version: 1,
      examples: taught.map(
        (e) => [base64(vectorToBytes(e.embedding)), e.domain, e.strength] as const,
      ),
      families: families.map((f) => [base64(vectorToBytes(f.embedding)), f.family] as const),
    }),
  };

  function vote(embedding: Float32Array): { share: number; of: Map<string, number> } {
    const of = new Map<string, number>();
    let mass = 0;
    for (const example of taught) {
      const alike = cosine(example.embedding, embedding);
      if (alike < 0.4) continue;
      const weight = example.strength * Math.exp(sharpness * (alike - 1));
      mass += weight;
      of.set(example.domain, (of.get(example.domain) ?? 0) + weight);
    }
    for (const [domain, weight] of of) of.set(domain, weight / mass);
    return { share: mass / (mass + doubt), of };
  }

  function nearestFamily(embedding: Float32Array): string | undefined {
    let best = sameFamily;
    let found: string | undefined;
    for (const { embedding: other, family } of families) {
      const alike = cosine(embedding, other);
      if (alike > best) [best, found] = [alike, family];
    }
    return found;
  }

  function remember(analysis: Analysis): void {
    const embedding = checkedEmbedding(analysis);
    if (embedding.every((value) => value === 0)) return;
    if (families.some((known) => cosine(known.embedding, embedding) > sameFamily)) return;
    if (families.length >= limits.families) families.shift();
    families.push({ embedding: embedding.slice(), family: analysis.family.slice(0, 256) });
  }
}

/** `createUnderstander().understand(task)` for a single question, without learning. */
export function understand(task: TaskDescription): Analysis {
  return createUnderstander().understand(task);
}

function tellingWords(words: readonly string[], domain: number): string[] {
  if (domain === -1) return [];
  const scored = [...new Set(words.slice(0, 24))]
    .filter((word) => word.length > 1 && !/^\d/.test(word))
    .map((word) => {
      const alone = classifyText(textFeatures({ description: word }));
      return [word === "threed" ? "3D" : word, alone[domain] ?? 0] as const;
    });
  return scored
    .filter(([, p]) => p > 0.3)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4)
    .map(([word]) => word);
}

function checkDomain(domain: unknown): asserts domain is string {
  if (typeof domain !== "string" || !/^[a-z0-9][a-z0-9-]{0,63}$/.test(domain)) {
    throw fault("QZ_BRAIN_DOMAIN_INVALID", { domain: String(domain).slice(0, 80) });
  }
}

function checkedEmbedding(analysis: Analysis): Float32Array {
  const { embedding } = analysis;
  if (
    !(embedding instanceof Float32Array) ||
    embedding.length !== vectorDimensions ||
    !embedding.every(Number.isFinite)
  ) {
    throw fault("QZ_BRAIN_VECTOR_INVALID", {
      dimensions: vectorDimensions,
      what: "pass an analysis as understand returned it",
    });
  }
  return embedding;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let s0 = 0;
  let s1 = 0;
  // Two sums break the chain of dependent additions: this runs thousands of times a task.
  for (let at = 0; at < vectorDimensions; at += 2) {
    s0 += (a[at] ?? 0) * (b[at] ?? 0);
    s1 += (a[at + 1] ?? 0) * (b[at + 1] ?? 0);
  }
  return s0 + s1;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
