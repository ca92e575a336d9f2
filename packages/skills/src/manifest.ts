import { z } from "zod";
import { skillsError } from "./errors.ts";
import { fitsPattern, pathProblem } from "./names.ts";

const MIB = 1 << 20;
const LIMIT_MAX = 16 * 1024 * MIB;

const label = z
  .string()
  .max(63)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, {
    error: "must be lower-case letters, digits and inner dashes",
  });
const line = z.string().min(1).max(300);
const path = z.string().refine((value) => pathProblem(value) === undefined, {
  error: "must be a relative path without `..`",
});

/** What a file's first bytes must look like before a machine is started for it. */
export const FILE_KINDS = ["table", "json", "segy", "image", "npz", "onnx", "any"] as const;

const fileSpec = z.strictObject({
  pattern: path.describe("File names it takes; `*` stands for anything but `/`, `**` for anything"),
  kind: z.enum(FILE_KINDS).default("any").describe("What the first bytes must look like"),
  columns: z
    .array(line)
    .max(64)
    .default([])
    .describe("Columns a table must have; `a|b` asks for either name"),
  numbers: z
    .boolean()
    .default(false)
    .describe("Whether every cell of these columns must be a finite number"),
  description: line,
  required: z.boolean().default(false).describe("Whether the skill can do without"),
  maxFiles: z.int().min(1).max(256).default(1).describe("How many there may be"),
  maxBytes: z
    .int()
    .min(1)
    .max(LIMIT_MAX)
    .default(256 * MIB)
    .describe("Bytes of each"),
});

const outputSpec = z.strictObject({
  name: path.describe("The file's name; `*` stands for anything but `/`, `**` for anything"),
  type: line.describe("Its media type"),
  description: line,
});

const madeSpec = z.strictObject({
  parameter: line.describe("A number in the task's data, such as how many points"),
  default: z.number().min(0).max(1e12).describe("What it is unless given"),
  bytes: z.number().min(0).max(1e9).describe("What one of them takes as a file"),
  power: z.number().min(1).max(4).default(1).describe("3 where it is the edge of a cube"),
  unless: z.array(path).max(32).default(["**"]).describe("It is not made beside such a file"),
});

const manifest = z.strictObject({
  name: label.describe("Its name, and the family of the tasks that run it"),
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/, { error: "must be three numbers, such as 1.0.0" })
    .describe("Raised when results may change"),
  title: line.describe("What it does, in a few words"),
  summary: z.string().min(1).max(2000).describe("What it does, in a paragraph"),
  domain: label.describe("The domain of its tasks, as the brain names it"),
  keywords: z
    .array(z.string().min(2).max(40))
    .max(64)
    .default([])
    .describe("Words that tell its tasks from others of the same domain"),
  image: z.string().min(1).max(255).default("python").describe("The image it runs in"),
  command: z
    .array(z.string().max(4096))
    .min(1)
    .max(64)
    .nullable()
    .describe(
      "The program and its arguments, run in the skill's folder; null takes the task's own",
    ),
  parameters: z
    .record(z.string(), z.unknown())
    .describe("JSON Schema (draft 2020-12) of the task's data, an object"),
  files: z.array(fileSpec).max(32).default([]).describe("The files it works on"),
  outputs: z.array(outputSpec).max(64).default([]).describe("The files it leaves"),
  limits: z
    .strictObject({
      inputBytes: z
        .int()
        .min(0)
        .max(LIMIT_MAX)
        .default(512 * MIB)
        .describe("All files together"),
      outputBytes: z
        .int()
        .min(1)
        .max(LIMIT_MAX)
        .default(256 * MIB)
        .describe("All it may leave"),
      outputFiles: z.int().min(1).max(10_000).default(256).describe("How many files it may leave"),
    })
    .prefault({})
    .describe("What is refused"),
  sizing: z
    .strictObject({
      memoryMib: z
        .int()
        .min(32)
        .max(1 << 20)
        .default(256)
        .describe("With the smallest input"),
      bytesPerInputByte: z.number().min(0).max(1e6).default(4).describe("What each byte adds"),
      made: z.array(madeSpec).max(8).default([]).describe("Input that the program makes itself"),
      vcpus: z.int().min(1).max(256).default(1).describe("Processors it can use"),
    })
    .prefault({})
    .describe("What to start with while the brain knows nothing better"),
});

/** A skill's manifest as its author writes it: `skill.json` in its folder. */
export type SkillManifestInput = z.input<typeof manifest>;

/** A skill's manifest with every default filled in. */
export type SkillManifest = z.output<typeof manifest>;

/** How many bytes of input a skill's program makes itself beside the files it is given, by name. */
export function madeBytes(
  { sizing }: SkillManifest,
  data: unknown,
  files: readonly string[],
): number {
  const given = typeof data === "object" && data !== null ? new Map(Object.entries(data)) : null;
  const made = sizing.made.filter(
    ({ unless }) => !files.some((file) => unless.some((pattern) => fitsPattern(pattern, file))),
  );
  const total = made.reduce((sum, { parameter, default: usual, bytes, power }) => {
    const value: unknown = given?.get(parameter);
    return sum + bytes * (typeof value === "number" ? Math.max(0, value) : usual) ** power;
  }, 0);
  return Math.min(total, Number.MAX_SAFE_INTEGER);
}

/** A file that a skill takes. */
export type SkillFile = SkillManifest["files"][number];

/**
 * Reads a skill's manifest.
 * @param value the parsed JSON
 * @param source what to call it in the error
 * @throws QZ_SKILLS_MANIFEST_INVALID
 */
export function parseManifest(value: unknown, source = "the value"): SkillManifest {
  const parsed = manifest.safeParse(value);
  if (!parsed.success) {
    throw skillsError("QZ_SKILLS_MANIFEST_INVALID", { source, problems: problemsOf(parsed.error) });
  }
  dataSchema(parsed.data, source);
  return parsed.data;
}

/** JSON Schema of `skill.json`, for editors. */
export function manifestSchema(): Record<string, unknown> {
  return z.toJSONSchema(manifest, { io: "input" });
}

/**
 * The check of a task's data that a manifest asks for.
 * @throws QZ_SKILLS_MANIFEST_INVALID for parameters that are no JSON Schema
 */
export function dataSchema(skill: SkillManifest, source = skill.name): z.ZodType {
  try {
    return z.fromJSONSchema({ type: "object", ...skill.parameters });
  } catch (cause) {
    const problems = `parameters: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw skillsError("QZ_SKILLS_MANIFEST_INVALID", { source, problems }, { cause });
  }
}

const MOST_PROBLEMS = 8;
const LONGEST_PROBLEM = 300;

/** Zod's findings in one line: where and what, at most eight, none longer than 300 characters. */
export function problemsOf({ issues }: z.ZodError): string {
  const lines = issues.slice(0, MOST_PROBLEMS).map(({ path: at, message }) => {
    const whole = at.length === 0 ? message : `${at.join(".")}: ${message}`;
    return whole.length > LONGEST_PROBLEM ? `${whole.slice(0, LONGEST_PROBLEM)}…` : whole;
  });
  const more = issues.length - lines.length;
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}
