import { z } from "zod";
import { amount, count, share } from "./numbers.ts";
import { pageInput } from "./page.ts";
import { decidedResources } from "./resources.ts";
import { family, id, name, text, time } from "./text.ts";

const MOST_REASONS = 64;
const reasons = z.array(text(1000)).max(MOST_REASONS);

/** How the brain is doing. */
export const brainStatus = z
  .object({
    experiences: count.describe("Runs it remembers"),
    families: count.describe("Kinds of task it knows"),
    decisions: count.describe("Decisions it has made"),
    finished: count.describe("Runs it has learned from"),
    outOfMemory: count.describe("Of these, how many ran out of memory"),
    wasteGibHours: z
      .object({
        brain: amount.describe("Wasted by its decisions"),
        request: amount.describe("What the users' own requests would have wasted"),
        vpa: amount.describe("What the Kubernetes autoscaler's rule would have wasted"),
      })
      .describe("Memory given and not used, and lost in failed runs, in GiB times hours"),
    coverage: share
      .nullable()
      .describe("Of the last peaks, how many lay where expected; 0.9 is aimed at"),
    exploredRuns: count.describe("Runs given other resources on purpose, to learn"),
    exploredFailedShare: share.describe("Of these, how many failed"),
    uncertain: z
      .array(
        z.object({
          family: family.describe("The kind of task"),
          heldShare: share.describe("How many of its last decisions were enough"),
        }),
      )
      .max(20)
      .describe("The kinds of task whose decisions held least often"),
    modelVersion: count.describe("Changes when the same evidence would be decided otherwise"),
  })
  .meta({ id: "BrainStatus", description: "How the brain is doing" });

export const brainKnowledgeInput = z.strictObject({
  ...pageInput,
  family: family.optional().describe("Only this kind of task"),
});

/** What is known of one kind of task. */
export const familyKnowledge = z
  .object({
    family: family.describe("The kind of task"),
    samples: count.describe("Runs that taught it"),
    leastPeakMib: amount.describe("The smallest peak of memory, in MiB"),
    mostPeakMib: amount.describe("The largest one"),
    heldShare: share.nullable().describe("Of the last decisions, how many were enough"),
    intervalCoverage: share.nullable().describe("Of the last peaks, how many lay where expected"),
    workSeconds: amount
      .nullable()
      .describe("Seconds on one processor for an input of the usual size"),
    serialShare: share
      .nullable()
      .describe("The part of the work that more processors do not speed"),
    busyGpus: amount.nullable().describe("GPUs kept busy on average"),
    elastic: z.boolean().describe("Whether it fills whatever memory it gets"),
    growth: z
      .object({
        leastInputBytes: amount.describe("The smallest input that it was run with"),
        mostInputBytes: amount.describe("The largest one"),
        memoryPerTenfold: amount.describe("Times the memory for ten times the input"),
        timePerTenfold: amount.describe("Times the time for ten times the input"),
      })
      .nullable()
      .describe("How it grows with its input; null while inputs have hardly differed"),
  })
  .meta({ id: "FamilyKnowledge", description: "What is known of one kind of task" });

export const brainExplainInput = z
  .strictObject({
    task: id.optional().describe("A task: its last decision"),
    decision: id.optional().describe("A decision"),
  })
  .refine(({ task, decision }) => (task === undefined) !== (decision === undefined), {
    error: "give either task or decision",
  });

const range = z
  .object({
    low: amount.describe("The lower end"),
    high: amount.describe("The upper end"),
  })
  .meta({ id: "Range", description: "Where 9 of 10 are expected" });

/** A decision with its reasons. */
export const explanation = z
  .object({
    decision: id.describe("The decision's id"),
    at: time.describe("When it was made"),
    task: id.nullable().describe("The task it was made for"),
    attempt: z.int().min(1).describe("For which attempt, from 1"),
    family: family.describe("The kind of task it was taken for"),
    domain: id.describe("What it was taken to be about"),
    domainConfidence: share.describe("How sure that was"),
    inputBytes: amount.describe("The size of its input, as far as it was known"),
    resources: decidedResources.describe("What it was given"),
    expectedMemoryMib: range.nullable().describe("Where its peak of memory was expected"),
    expectedSeconds: range.nullable().describe("How long it was expected to run"),
    confidence: share.describe("How likely the memory was to be enough"),
    reasons: reasons.describe("Why, the strongest reason first"),
    recalled: z
      .array(
        z.object({
          experience: id.describe("The run's id"),
          family: family.describe("Its kind"),
          similarity: share.describe("How alike it is"),
        }),
      )
      .max(64)
      .describe("Earlier runs that came to mind"),
    considered: z
      .array(
        z.object({
          name: text(64).describe("The way of estimating"),
          memoryMib: amount.describe("What it proposed, in MiB"),
          relativeCost: amount.describe("Its expected cost, 1 being the best"),
        }),
      )
      .max(64)
      .describe("What else was considered"),
    repeats: z.boolean().describe("Whether deciding again from the same evidence is identical"),
    text: text(65_536).describe("All of it, to be read by a person"),
  })
  .meta({ id: "Explanation", description: "A decision with its reasons" });

export const brainOptimizeInput = z.strictObject({
  dryRun: z.boolean().default(false).describe("Only say what would be done"),
});

/** What the optimisation cycle has found and done. */
export const optimisation = z
  .object({
    at: time.describe("When it looked"),
    actions: z
      .array(
        z.object({
          id: id.describe("The action's id"),
          kind: name.describe("What sort of action, such as warm-pool or idle-reclamation"),
          subject: id.describe("What it is about, such as a size class"),
          value: z.number().describe("The new value: VMs, seconds or MiB, as the kind has it"),
          reason: text(1000).describe("Why it is worth doing"),
          expectedGain: z.number().describe("What it should gain, in GiB times seconds"),
          realisedGain: z.number().nullable().describe("What it did gain, once that is known"),
          done: z.boolean().describe("Whether it was done"),
        }),
      )
      .max(500)
      .describe("What could be improved"),
  })
  .meta({ id: "Optimisation", description: "What the optimisation cycle has found and done" });

export const brainForgetInput = z
  .strictObject({
    experience: id.optional().describe("This run"),
    family: family.optional().describe("All runs of this kind of task"),
    before: time.optional().describe("All runs before this time"),
    all: z.literal(true).optional().describe("Everything"),
  })
  .refine((input) => Object.values(input).filter((value) => value !== undefined).length === 1, {
    error: "give exactly one of experience, family, before and all",
  });

/** What was forgotten. */
export const forgotten = z
  .object({ experiences: count.describe("How many runs were forgotten") })
  .meta({ id: "Forgotten", description: "What was forgotten" });

export const brainImportInput = z.strictObject({
  file: id.describe("A file with an export, sent with file.create and file.write"),
  mode: z
    .enum(["merge", "replace"])
    .default("merge")
    .describe("Whether it is added to what is known or takes its place"),
});
