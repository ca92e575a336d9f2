import { defineErrors } from "@queztl/errors";

/** Builds the errors of skills: what is wrong with one, with a task's inputs, or with what came out of a guest. */
export const skillsError = defineErrors({
  QZ_SKILLS_MANIFEST_INVALID: {
    status: "invalid",
    message: "{source} is not a skill's manifest: {problems}",
  },
  QZ_SKILLS_FOLDER_INVALID: {
    status: "invalid",
    message: "{folder} is not a skill: {problem}",
  },
  QZ_SKILLS_UNKNOWN: {
    status: "not-found",
    message: "there is no skill {name}; there are {known}",
  },
  QZ_SKILLS_NONE_FITS: {
    status: "invalid",
    message: "no skill does this ({reason}); name one of {known} as its kind, or give a command",
  },
  QZ_SKILLS_DATA_INVALID: {
    status: "invalid",
    message: "{skill} cannot work with this data: {problems}",
  },
  QZ_SKILLS_FILE_INVALID: {
    status: "invalid",
    message: "{skill} cannot work with the file {file}: {problem}",
  },
  QZ_SKILLS_FILES_MISSING: {
    status: "invalid",
    message: "{skill} needs {needed}; add it with the task's files",
  },
  QZ_SKILLS_OUTPUT_INVALID: {
    status: "guest",
    message: "{skill} left something that cannot be taken out of the guest: {problem}",
  },
});
