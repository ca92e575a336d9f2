import { createReadStream } from "node:fs";
import { chooseSkill, EXIT_DATA } from "@queztl/skills";
import { prepareSkill, type Skill, type SkillLibrary, type SkillRun } from "@queztl/skills/node";
import type { BrainHost } from "../brain/brain-host.ts";
import type { TaskInput } from "../database/schema.ts";
import type { GuestFile, GuestFolder } from "../vms/vm-host.ts";

/** A task's file, where it lies on this computer. */
export interface PlannedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** What is run for a task, and where. */
export interface TaskPlan {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Everything that goes into the guest, with paths relative to its root. */
  readonly files: () => AsyncGenerator<GuestFile | GuestFolder>;
  /** The folders whose files are the result; a later one's win. */
  readonly results: readonly string[];
  /** The skill whose program runs, which promises results; undefined where it runs the task's own command. */
  readonly program: Skill | undefined;
  /** What kind of task it is where its user has not said. */
  readonly family: string | undefined;
  readonly image: string | undefined;
  /** How much it works on, where its skill can tell. */
  readonly inputBytes: number | undefined;
  /** What the skill's program believes it needs, while nothing is known. */
  readonly request: { readonly memoryMib: number; readonly vcpus: number } | undefined;
}

export { EXIT_DATA };

/** What a plan is made of. */
export interface PlannedTask {
  readonly description: string;
  readonly input: Omit<TaskInput, "request" | "limits">;
  readonly files: readonly PlannedFile[];
}

/**
 * Decides what is run for a task: the skill that fits its words, data and files, which looks at them first. A command of
 * the task's own is run by a skill without a program. Throws the codes of `chooseSkill` and `prepareSkill`, and what is
 * wrong with a skill that is named.
 */
export async function planTask(
  { description, input, files }: PlannedTask,
  { skills: library, brain }: { readonly skills: SkillLibrary; readonly brain: BrainHost },
): Promise<TaskPlan> {
  const { command, data, environment, family, image } = input;
  const { skills, broken } = await library.look();
  const problem = broken.get(family ?? "");
  if (problem !== undefined) throw problem;
  const { domain } = brain.analyse({ description });
  const { skill } = chooseSkill(skills, {
    description,
    family,
    domain,
    data,
    files: files.map(({ name }) => name),
    command: command !== undefined,
  });
  const run = await prepareSkill(skill, {
    files: files.map(({ name, path }) => ({ name, path })),
    environment,
    command,
    image,
    ...(data === undefined ? {} : { data }),
  });
  const common = {
    command: run.command,
    environment: run.environment,
    directory: run.cwd,
    files: () => guestFiles(run),
  };
  const { name, command: program } = skill.manifest;
  // What such a task needs is its command's affair, and what it leaves beside its files is a result as well.
  return program === null
    ? {
        ...common,
        results: [run.cwd, run.output],
        program: undefined,
        family: undefined,
        image,
        inputBytes: undefined,
        request: undefined,
      }
    : {
        ...common,
        results: [run.output],
        program: skill,
        family: name,
        image: run.image,
        inputBytes: run.inputBytes,
        request: run.request,
      };
}

async function* guestFiles({ files, folders }: SkillRun): AsyncGenerator<GuestFile | GuestFolder> {
  // They are there even without files.
  for (const path of folders) yield { path: path.slice(1) };
  for (const { to, from, bytes } of files) {
    yield file(to, bytes, "path" in from ? createReadStream(from.path) : once(from.bytes));
  }
}

const file = (to: string, bytes: number, content: AsyncIterable<Uint8Array>): GuestFile => ({
  path: to.slice(1),
  bytes,
  mode: 0o644,
  content,
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
