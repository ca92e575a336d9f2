export { collectOutputs } from "./outputs.ts";
export type { OutputFile, Outputs } from "./outputs.ts";
export { prepareSkill } from "./prepare.ts";
export type { GuestFile, SkillRun, TaskFile, TaskInput } from "./prepare.ts";
export { builtInSkills, findSkill, loadSkill, loadSkills } from "./skill.ts";
export type { Skill } from "./skill.ts";
export { SkillLibrary } from "./skill-library.ts";
export type { FoundSkills, SkillLibraryOptions } from "./skill-library.ts";
