import { access, lstat, readFile, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { skillsError } from "../errors.ts";
import { parseManifest } from "../manifest.ts";
import type { SkillManifest } from "../manifest.ts";

/** A skill on this computer. */
export interface Skill {
  readonly manifest: SkillManifest;
  /** Its folder's path. */
  readonly folder: string;
  /** What goes into the guest: paths in the folder, and their bytes. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

/** The name of a skill's manifest in its folder. */
export const MANIFEST_FILE = "skill.json";

/** The folder of the skills that come with this package. */
export const builtInSkills: string = fileURLToPath(new URL("../../skills", import.meta.url));

/** The folder of the Python package that skills may import. */
export const guestLibrary: string = fileURLToPath(new URL("../../guest", import.meta.url));

const MODULES = "node_modules";
const FOLDER_BYTES_MAX = 64 << 20;
const FOLDER_FILES_MAX = 1000;

/**
 * Reads a skill's folder: `skill.json` and the program beside it. Tests (`test_*.py`), READMEs, pictures for them and
 * hidden files stay out of the guest.
 * @throws QZ_SKILLS_FOLDER_INVALID for links, special files, more than 1,000 files or 64 MiB, or no manifest;
 * QZ_SKILLS_MANIFEST_INVALID
 */
export async function loadSkill(folder: string): Promise<Skill> {
  const source = join(folder, MANIFEST_FILE);
  let text: string;
  try {
    text = await readFile(source, "utf8");
  } catch (cause) {
    const problem = `${MANIFEST_FILE} cannot be read`;
    throw skillsError("QZ_SKILLS_FOLDER_INVALID", { folder, problem }, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const problems = cause instanceof Error ? cause.message : String(cause);
    throw skillsError("QZ_SKILLS_MANIFEST_INVALID", { source, problems }, { cause });
  }
  return { manifest: parseManifest(value, source), folder, files: await filesOf(folder) };
}

/**
 * The skills in folders of skills, such as `builtInSkills` and a user's own: each sub-folder with a manifest, and each
 * package with one that npm has installed there. A later folder's skill replaces an earlier one of the same name; a folder
 * that is not there holds none.
 * @throws as `loadSkill`
 */
export async function loadSkills(folders: readonly string[]): Promise<Skill[]> {
  const skills = new Map<string, Skill>();
  for (const folder of folders) {
    for (const path of await skillFolders(folder)) {
      const skill = await loadSkill(path);
      skills.set(skill.manifest.name, skill);
    }
  }
  return [...skills.values()];
}

/**
 * The skill of a name.
 * @throws QZ_SKILLS_UNKNOWN
 */
export function findSkill(skills: readonly Skill[], name: string): Skill {
  const skill = skills.find(({ manifest }) => manifest.name === name);
  if (skill !== undefined) return skill;
  const known = skills.map(({ manifest }) => manifest.name).join(", ") || "none";
  throw skillsError("QZ_SKILLS_UNKNOWN", { name, known });
}

/** Every file below a folder that belongs into a guest, in the order of their names. */
export async function filesOf(folder: string): Promise<{ path: string; bytes: number }[]> {
  const bad = (problem: string) => skillsError("QZ_SKILLS_FOLDER_INVALID", { folder, problem });
  const files: { path: string; bytes: number }[] = [];
  let total = 0;
  const entries = await readdir(folder, { recursive: true });
  for (const path of entries.map((entry) => entry.replaceAll("\\", "/")).sort()) {
    if (path.split("/").some(stays)) continue;
    const { size, isFile, isFolder } = await kindOf(join(folder, path));
    if (isFolder) continue;
    if (!isFile) throw bad(`${path} is neither a file nor a folder`);
    files.push({ path, bytes: size });
    total += size;
    if (files.length > FOLDER_FILES_MAX) throw bad(`it has more than ${FOLDER_FILES_MAX} files`);
    if (total > FOLDER_BYTES_MAX) throw bad(`it has more than ${FOLDER_BYTES_MAX} bytes`);
  }
  return files;
}

async function kindOf(path: string) {
  const status = await lstat(path);
  return { size: status.size, isFile: status.isFile(), isFolder: status.isDirectory() };
}

// A part of a path that does not go into the guest.
function stays(part: string): boolean {
  return (
    part.startsWith(".") ||
    part === "__pycache__" ||
    part === MODULES ||
    /^(?:test_.*\.py|README.*|docs)$/.test(part)
  );
}

/**
 * Where the skills of a folder lie: each sub-folder, which may be a link, and the packages below `node_modules` that have
 * a manifest.
 */
export async function skillFolders(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of await subfolders(folder)) {
    if (basename(path) !== MODULES) found.push(path);
    else for (const each of await packagesIn(path)) if (await hasManifest(each)) found.push(each);
  }
  return found;
}

async function packagesIn(modules: string): Promise<string[]> {
  const packages: string[] = [];
  for (const path of await subfolders(modules)) {
    if (basename(path).startsWith("@")) packages.push(...(await subfolders(path)));
    else packages.push(path);
  }
  return packages;
}

const hasManifest = (folder: string): Promise<boolean> =>
  access(join(folder, MANIFEST_FILE)).then(
    () => true,
    () => false,
  );

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((cause: unknown) => {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return [];
    throw skillsError(
      "QZ_SKILLS_FOLDER_INVALID",
      { folder, problem: "it cannot be read" },
      { cause },
    );
  });
  const paths: string[] = [];
  for (const name of entries.filter((entry) => !entry.startsWith(".")).sort()) {
    const path = join(folder, name);
    const status = await stat(path).catch(() => undefined);
    if (status?.isDirectory()) paths.push(path);
  }
  return paths;
}
