import { z } from "zod";
import * as schema from "../schemas/brain.ts";
import { fileOutput } from "../schemas/file.ts";
import { pageOf } from "../schemas/page.ts";
import { mutation, query } from "./operation.ts";

const nothing = z.strictObject({});
const read = { scope: "brain:read" } as const;
const write = { scope: "brain:write" } as const;

export const brainOperations = {
  status: query({
    ...read,
    summary: "Show how the brain is doing",
    input: nothing,
    output: schema.brainStatus,
    rest: { method: "GET", path: "/v1/brain" },
    example: {},
  }),
  knowledge: query({
    ...read,
    summary: "List what is known of each kind of task",
    input: schema.brainKnowledgeInput,
    output: pageOf(schema.familyKnowledge),
    rest: { method: "GET", path: "/v1/brain/knowledge" },
    example: { limit: 10 },
  }),
  explain: query({
    ...read,
    summary: "Explain a decision: what, how sure, why, and what else was considered",
    input: schema.brainExplainInput,
    output: schema.explanation,
    rest: { method: "GET", path: "/v1/brain/explanation" },
    example: { task: "task-1" },
  }),
  optimize: mutation({
    ...write,
    summary: "Run the optimisation cycle now",
    input: schema.brainOptimizeInput,
    output: schema.optimisation,
    rest: { method: "POST", path: "/v1/brain/optimize" },
    example: { dryRun: true },
  }),
  forget: mutation({
    ...write,
    summary: "Forget runs, and what was learned from them",
    input: schema.brainForgetInput,
    output: schema.forgotten,
    rest: { method: "POST", path: "/v1/brain/forget" },
    example: { family: "mag-survey" },
  }),
  export: mutation({
    ...write,
    summary: "Write all knowledge to a file, to be read with file.read",
    input: nothing,
    output: fileOutput,
    rest: { method: "POST", path: "/v1/brain/export", status: 201 },
    example: {},
  }),
  import: mutation({
    ...write,
    summary: "Take in the knowledge of an exported file",
    input: schema.brainImportInput,
    output: schema.brainStatus,
    rest: { method: "POST", path: "/v1/brain/import" },
    example: { file: "file-1", mode: "merge" },
  }),
};
