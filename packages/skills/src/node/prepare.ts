import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import { skillsError } from "../errors.ts";
import { HEAD_BYTES, fileProblem } from "../file-kinds.ts";
import { GUEST, GUEST_ENVIRONMENT } from "../guest-layout.ts";
import { dataSchema, madeBytes, problemsOf } from "../manifest.ts";
import type { SkillManifest } from "../manifest.ts";
import { fitsPattern, pathProblem } from "../names.ts";
import { filesOf, guestLibrary } from "./skill.ts";
import type { Skill } from "./skill.ts";

/** A file that comes with a task. */
export interface TaskFile {
  /** Its path as the task sees it, relative. */
  readonly name: string;
  /** Where it lies on the host. */
  readonly path: string;
}

/** What a task brings. */
export interface TaskInput {
  /** A JSON object; empty unless given. */
  readonly data?: unknown;
  readonly files?: readonly TaskFile[];
  /** The task's own command, for a skill that has none. */
  readonly command?: readonly string[] | undefined;
  /** The task's own image instead of the skill's. */
  readonly image?: string | undefined;
  /** Variables beside those of the skill; they replace none of `GUEST_ENVIRONMENT`, but for a command of the task's own `PYTHON…`. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A file to be put into the guest. */
export interface GuestFile {
  /** Absolute, in the guest. */
  readonly to: string;
  /** A file of the host, or the bytes themselves. */
  readonly from: { readonly path: string } | { readonly bytes: Uint8Array };
  readonly bytes: number;
}

/** All that a guest needs to run a skill. */
export interface SkillRun {
  readonly skill: string;
  readonly version: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Folders to be made first. */
  readonly folders: readonly string[];
  readonly files: readonly GuestFile[];
  /** The folder to be taken out of the guest afterwards; see `collectOutputs`. */
  readonly output: string;
  /** Bytes of the task's own data and files, and of what the program makes where there are none. */
  readonly inputBytes: number;
  /** What to start with while the brain knows nothing better. */
  readonly request: { readonly memoryMib: number; readonly vcpus: number };
}

const MIB = 1 << 20;

/**
 * Checks a task's data and files against what a skill takes, and says what the guest needs to run it. Nothing is started
 * and nothing is copied; a file's content is looked at no further than its first 64 KiB.
 * @throws QZ_SKILLS_DATA_INVALID, QZ_SKILLS_FILE_INVALID, QZ_SKILLS_FILES_MISSING, QZ_SKILLS_NONE_FITS for a task
 * without the command that its skill asks for
 */
export async function prepareSkill(skill: Skill, task: TaskInput = {}): Promise<SkillRun> {
  const { manifest } = skill;
  const command = manifest.command ?? task.command;
  if (command === undefined || command.length === 0) {
    const reason = `${manifest.name} runs the task's own command, and it has none`;
    throw skillsError("QZ_SKILLS_NONE_FITS", { reason, known: manifest.name });
  }
  const data = checkData(manifest, task.data);
  const inputs = await checkFiles(manifest, task.files ?? []);
  const names = (task.files ?? []).map(({ name }) => name);
  const made = madeBytes(manifest, task.data, names);
  const inputBytes = inputs.reduce((sum, { bytes }) => sum + bytes, data.length + made);
  const { memoryMib, bytesPerInputByte, vcpus } = manifest.sizing;
  const python = manifest.command === null ? [] : await programOf(skill);
  return {
    skill: manifest.name,
    version: manifest.version,
    image: task.image ?? manifest.image,
    command,
    environment: environmentOf(manifest, task.environment),
    cwd: manifest.command === null ? GUEST.files : GUEST.skill,
    folders: [GUEST.files, GUEST.output],
    files: [
      ...python,
      { to: `${GUEST.input}/data.json`, from: { bytes: data }, bytes: data.length },
      ...inputs,
    ],
    output: GUEST.output,
    inputBytes,
    request: { memoryMib: Math.ceil(memoryMib + (inputBytes * bytesPerInputByte) / MIB), vcpus },
  };
}

/** Where the data lies and the results go is not for a task to say; how Python behaves is, where the program is its own. */
function environmentOf(
  { command }: SkillManifest,
  own: Readonly<Record<string, string>> = {},
): Record<string, string> {
  if (command !== null) return { ...own, ...GUEST_ENVIRONMENT };
  const { QUEZTL_IN = "", QUEZTL_OUT = "" } = GUEST_ENVIRONMENT;
  return { ...GUEST_ENVIRONMENT, ...own, QUEZTL_IN, QUEZTL_OUT };
}

/** The skill's program and the library it may import. */
async function programOf(skill: Skill): Promise<GuestFile[]> {
  const place = (folder: string, to: string) => (file: { path: string; bytes: number }) => ({
    to: `${to}/${file.path}`,
    from: { path: join(folder, file.path) },
    bytes: file.bytes,
  });
  const library = await filesOf(guestLibrary);
  return [
    ...library.map(place(guestLibrary, GUEST.library)),
    ...skill.files.map(place(skill.folder, GUEST.skill)),
  ];
}

function checkData(manifest: SkillManifest, data: unknown = {}): Uint8Array {
  const checked = dataSchema(manifest).safeParse(data);
  if (!checked.success) {
    const problems = problemsOf(checked.error);
    throw skillsError("QZ_SKILLS_DATA_INVALID", { skill: manifest.name, problems });
  }
  return new TextEncoder().encode(JSON.stringify(checked.data));
}

async function checkFiles(
  manifest: SkillManifest,
  files: readonly TaskFile[],
): Promise<GuestFile[]> {
  const skill = manifest.name;
  const counts = new Map<string, number>();
  const inputs: GuestFile[] = [];
  let total = 0;
  for (const { name, path } of files) {
    const shown = JSON.stringify(name.slice(0, 80));
    const bad = (problem: string) =>
      skillsError("QZ_SKILLS_FILE_INVALID", { skill, file: shown, problem });
    const named = pathProblem(name);
    if (named !== undefined) throw bad(named);
    const to = `${GUEST.files}/${name}`;
    if (inputs.some((input) => input.to === to)) throw bad("there are two of that name");
    const spec = manifest.files.find(({ pattern }) => fitsPattern(pattern, name));
    if (spec === undefined) {
      const patterns = manifest.files.map(({ pattern }) => pattern).join(", ") || "no files";
      throw bad(`it takes ${patterns}`);
    }
    const count = (counts.get(spec.pattern) ?? 0) + 1;
    counts.set(spec.pattern, count);
    if (count > spec.maxFiles) throw bad(`it takes ${spec.maxFiles} of ${spec.pattern}`);
    const file = await headOf(path, bad);
    const problem = fileProblem(spec, file);
    if (problem !== undefined) throw bad(problem);
    total += file.bytes;
    if (total > manifest.limits.inputBytes) {
      throw bad(`with it the files have more than ${manifest.limits.inputBytes} bytes`);
    }
    inputs.push({ to, from: { path }, bytes: file.bytes });
  }
  const needed = manifest.files.filter(({ pattern, required }) => required && !counts.has(pattern));
  if (needed.length > 0) {
    const list = needed.map(({ pattern, description }) => `${pattern} (${description})`).join(", ");
    throw skillsError("QZ_SKILLS_FILES_MISSING", { skill, needed: list });
  }
  return inputs;
}

async function headOf(path: string, bad: (problem: string) => Error) {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) throw bad("it is not there");
  if (!status.isFile()) throw bad("it is not a file");
  const head = Buffer.alloc(Math.min(HEAD_BYTES, status.size));
  const handle = await open(path, "r");
  try {
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    return { head: head.subarray(0, bytesRead), bytes: status.size };
  } finally {
    await handle.close();
  }
}
