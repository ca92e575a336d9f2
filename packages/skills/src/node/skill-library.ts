import { basename } from "node:path";
import { isQueztlError, type QueztlError } from "@queztl/errors";
import { builtInSkills, loadSkill, loadSkills, type Skill, skillFolders } from "./skill.ts";

/** What a look at the skills has found. */
export interface FoundSkills {
  readonly skills: readonly Skill[];
  /** Why folders of the user's are no skills, by the folder's name. */
  readonly broken: ReadonlyMap<string, QueztlError>;
}

/** Where a library looks, and who hears of what is wrong there. */
export interface SkillLibraryOptions {
  /** The user's folder of skills; it need not be there. */
  readonly folder: string;
  /** Told of a folder that is no skill, once until its problem is another one. */
  readonly onBroken?: (problem: QueztlError) => void;
}

/**
 * The built-in skills and those of a user's folder, which is looked at anew each time: what is dropped into it, or
 * installed there by npm, can be used at once. A folder that is no skill harms no other.
 */
export class SkillLibrary {
  readonly #options: SkillLibraryOptions;
  readonly #builtIn: readonly Skill[];
  #told = new Map<string, string>();

  private constructor(options: SkillLibraryOptions, builtIn: readonly Skill[]) {
    this.#options = options;
    this.#builtIn = builtIn;
  }

  /** Reads the built-in skills. */
  static async open(options: SkillLibraryOptions): Promise<SkillLibrary> {
    return new SkillLibrary(options, await loadSkills([builtInSkills]));
  }

  /** Every skill that there is now; a user's replaces a built-in one of the same name. */
  async look(): Promise<FoundSkills> {
    const { folder } = this.#options;
    const skills = new Map(this.#builtIn.map((skill) => [skill.manifest.name, skill]));
    const broken = new Map<string, QueztlError>();
    const attempt = async <Result>(path: string, work: Promise<Result>) => {
      try {
        return await work;
      } catch (problem) {
        if (!isQueztlError(problem)) throw problem;
        broken.set(basename(path), problem);
        return undefined;
      }
    };
    for (const path of (await attempt(folder, skillFolders(folder))) ?? []) {
      const skill = await attempt(path, loadSkill(path));
      if (skill !== undefined) skills.set(skill.manifest.name, skill);
    }
    this.#tell(broken);
    return { skills: [...skills.values()], broken };
  }

  #tell(broken: ReadonlyMap<string, QueztlError>): void {
    for (const [name, problem] of broken) {
      if (this.#told.get(name) !== problem.message) this.#options.onBroken?.(problem);
    }
    this.#told = new Map([...broken].map(([name, { message }]) => [name, message]));
  }
}
