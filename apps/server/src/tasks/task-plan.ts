import { createReadStream } from "node:fs";
import { chooseSkill, EXIT_DATA, GUEST, GUEST_ENVIRONMENT } from "@queztl/skills";
import { prepareSkill, type Skill, type SkillRun } from "@queztl/skills/node";
import type { BrainHost } from "../brain/brain-host.ts";
import type { TaskInput } from "../database/schema.ts";
import type { GuestFile } from "../vms/vm-host.ts";

/** A task's file, where it lies on this computer. */
export interface PlannedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** What is run for a task, and where. */
export interface TaskPlan {
  /** The skill that does it; undefined where the task brings its own command. */
  readonly skill: Skill | undefined;
  /** Why that skill. */
  readonly reasons: readonly string[];
  readonly image: string | undefined;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** What the skill believes it needs, while nothing is known. */
  readonly request: { readonly memoryMib: number; readonly vcpus: number } | undefined;
  /** Everything that goes into the guest, with paths relative to its root. */
  readonly files: () => AsyncGenerator<GuestFile>;
}

export { EXIT_DATA, GUEST };

/** What a plan is made of. */
export interface PlannedTask {
  readonly description: string;
  readonly input: Omit<TaskInput, "request" | "limits">;
  readonly files: readonly PlannedFile[];
}

/**
 * Decides what is run for a task: its own command, or the skill that fits its words, data and files, which looks at
 * them first. Throws the codes of `chooseSkill` and `prepareSkill`.
 */
export async function planTask(
  task: PlannedTask,
  { skills, brain }: { readonly skills: readonly Skill[]; readonly brain: BrainHost },
): Promise<TaskPlan> {
  const { description, input, files } = task;
  const { command, data, environment } = input;
  if (command !== undefined) {
    return {
      skill: undefined,
      reasons: ["the task brings its own command"],
      image: input.image,
      command,
      environment: { ...GUEST_ENVIRONMENT, ...environment },
      directory: GUEST.files,
      request: undefined,
      files: () => ownFiles(data, files),
    };
  }
  const { domain } = brain.analyse({ description });
  const names = files.map(({ name }) => name);
  const choice = chooseSkill(skills, {
    description,
    family: input.family,
    domain,
    data,
    files: names,
  });
  const run = await prepareSkill(choice.skill, {
    files: files.map(({ name, path }) => ({ name, path })),
    environment,
    ...(data === undefined ? {} : { data }),
    ...(input.image === undefined ? {} : { image: input.image }),
  });
  return {
    skill: choice.skill,
    reasons: choice.reasons,
    image: run.image,
    command: run.command,
    environment: run.environment,
    directory: run.cwd,
    request: run.request,
    files: () => skillFiles(run),
  };
}

/** A task's parameters and files for a command of its own, laid out as for a skill. */
async function* ownFiles(data: unknown, files: readonly PlannedFile[]): AsyncGenerator<GuestFile> {
  const bytes = Buffer.from(JSON.stringify(data ?? {}));
  yield file(`${GUEST.input}/data.json`, bytes.byteLength, once(bytes));
  yield file(`${GUEST.output}/.queztl`, 0, once(new Uint8Array(0)));
  for (const { name, path, bytes } of files) {
    yield file(`${GUEST.files}/${name}`, bytes, createReadStream(path));
  }
  // Its working directory is there even without files.
  if (files.length === 0) yield file(`${GUEST.files}/.queztl`, 0, once(new Uint8Array(0)));
}

async function* skillFiles({ files }: SkillRun): AsyncGenerator<GuestFile> {
  for (const { to, from, bytes } of files) {
    yield file(to, bytes, "path" in from ? createReadStream(from.path) : once(from.bytes));
  }
  for (const folder of [GUEST.files, GUEST.output]) {
    yield file(`${folder}/.queztl`, 0, once(new Uint8Array(0)));
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
