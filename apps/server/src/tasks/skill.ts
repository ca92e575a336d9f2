/** A way to do a kind of task: what is run, and where. */
export interface Skill {
  /** Also the family of its tasks. */
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  /** Put beside the task's own files, under names that begin with a dot; never results. */
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[];
  /** Whether it can do what a description asks for. */
  matches(task: { readonly description: string; readonly domain: string }): boolean;
}

/** The skills that a server knows. */
export class SkillBook {
  readonly #skills: readonly Skill[];

  constructor(skills: readonly Skill[]) {
    this.#skills = skills;
  }

  /** The skill of a name, or the first that can do what is asked for. */
  find(task: {
    readonly family: string | undefined;
    readonly description: string;
    readonly domain: string;
  }): Skill | undefined {
    const named = this.#skills.find(({ name }) => name === task.family);
    return named ?? this.#skills.find((skill) => skill.matches(task));
  }
}
