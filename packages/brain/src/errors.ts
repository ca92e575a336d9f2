import { defineErrors } from "@queztl/errors";

/** Every failure this package reports, with what to do about it. */
export const errorCatalogue = {
  QZ_BRAIN_DESCRIPTION_INVALID: {
    status: "invalid",
    message: "a task's description must be a string; got {type}",
  },
  QZ_BRAIN_DATA_INVALID: {
    status: "invalid",
    message: "a task's data must be a JSON value; {path} is {type}",
  },
  QZ_BRAIN_FILES_INVALID: {
    status: "invalid",
    message: "a task's file needs a name and a size of 0 bytes or more; file {index} has {what}",
  },
  QZ_BRAIN_DOMAIN_INVALID: {
    status: "invalid",
    message: "a domain is 1 to 64 letters, digits or dashes beginning with a letter; got {domain}",
  },
  QZ_BRAIN_DOMAINS_FULL: {
    status: "exhausted",
    message: "{count} domains are known already; forget one before teaching another",
  },
  QZ_BRAIN_VECTOR_INVALID: {
    status: "invalid",
    message: "an embedding must hold {dimensions} finite numbers; {what}",
  },
  QZ_BRAIN_RECALL_ENTRY_INVALID: {
    status: "invalid",
    message: "a recalled experience needs {what}",
  },
  QZ_BRAIN_RECALL_FULL: {
    status: "exhausted",
    message: "{capacity} experiences are kept already; remove one before adding another",
  },
  QZ_BRAIN_STATE_INVALID: {
    status: "invalid",
    message: "the saved state cannot be read ({what}); start from an empty one or an older copy",
  },
  QZ_BRAIN_INPUT_INVALID: {
    status: "invalid",
    message: "{field} must be {expected}; got {value}",
  },
  QZ_BRAIN_TRACE_INVALID: {
    status: "invalid",
    message: "{file}, line {line}: {problem}; a trace is CSV with the columns {columns}",
  },
  QZ_BRAIN_POLICY_UNKNOWN: {
    status: "invalid",
    message: "there is no policy called {policy}; choose one of {known}",
  },
  QZ_BRAIN_USAGE: {
    status: "invalid",
    message: "{problem}; run `queztl-brain --help` to see the options",
  },
  QZ_BRAIN_STATE_TOO_NEW: {
    status: "invalid",
    message: "the saved state has version {version}, this brain reads up to {supported}; update it",
  },
  QZ_BRAIN_MEMORY_CAP_REACHED: {
    status: "exhausted",
    message:
      "{failedMib} MiB, the most one attempt may have, was not enough; raise the cap or split the task",
  },
  QZ_BRAIN_DECISION_UNKNOWN: {
    status: "not-found",
    message: "decision {decisionId} is not remembered; pass the decision itself to learn",
  },
} as const;

export const fault = defineErrors(errorCatalogue);
