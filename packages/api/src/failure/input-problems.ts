import type { QueztlError } from "@queztl/errors";
import type { z } from "zod";
import { apiErrors } from "../errors.ts";
import { unfitness } from "../schemas/json-data.ts";

const MOST_PROBLEMS = 5;
const LONGEST_PROBLEM = 90;

/** The parsed input of an operation. Throws `QZ_API_INPUT_INVALID` naming the first few problems. */
export function parseInput<Input extends z.ZodType>(
  operation: string,
  schema: Input,
  raw: unknown,
): z.output<Input> {
  const unfit = unfitness(raw);
  if (unfit !== undefined) throw inputInvalid(operation, [unfit]);
  // No input at all is an input without fields.
  const parsed = schema.safeParse(raw ?? {});
  if (!parsed.success) throw inputInvalid(operation, problemsOf(parsed.error), parsed.error);
  return parsed.data;
}

/** The checked answer of an operation. Throws `QZ_API_OUTPUT_INVALID`: a service broke its word. */
export function parseOutput<Output extends z.ZodType>(
  operation: string,
  schema: Output,
  answer: unknown,
): z.output<Output> {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(parsed.error).join("; ");
  throw apiErrors("QZ_API_OUTPUT_INVALID", { operation, problems }, { cause: parsed.error });
}

/** The error for an input with these problems. */
export function inputInvalid(
  operation: string,
  problems: readonly string[],
  cause?: unknown,
): QueztlError {
  const shown = problems.slice(0, MOST_PROBLEMS);
  const more = problems.length - shown.length;
  return apiErrors(
    "QZ_API_INPUT_INVALID",
    {
      operation,
      problems: shown.join("; ") + (more > 0 ? `; and ${more} more` : ""),
      count: problems.length,
    },
    { cause },
  );
}

/** One short line for each issue: where, and what; never the caller's whole text. */
function problemsOf(error: z.ZodError): string[] {
  return error.issues.map((issue) => {
    const where = issue.path.map(String).join(".");
    return cut(where === "" ? issue.message : `${where}: ${issue.message}`);
  });
}

const cut = (problem: string) =>
  problem.length > LONGEST_PROBLEM ? `${problem.slice(0, LONGEST_PROBLEM)}…` : problem;
