export { chooseSkill } from "./choose.ts";
export type { SkillChoice, SkillQuery } from "./choose.ts";
export { GUEST, GUEST_ENVIRONMENT } from "./guest-layout.ts";
export { FILE_KINDS, manifestSchema, parseManifest } from "./manifest.ts";
export type { SkillFile, SkillManifest, SkillManifestInput } from "./manifest.ts";
export { EXIT_DATA, parseProgress, PROGRESS_PREFIX } from "./progress.ts";
export type { Progress, Refusal } from "./progress.ts";
