import { defineErrors } from "@queztl/errors";

/** Builds the errors of the command line itself; the server's keep their own codes. */
export const qctlErrors = defineErrors({
  QZ_QCTL_CONTEXT_MISSING: {
    status: "unavailable",
    message:
      "no server is known yet; start one here with `qctl up`, or name one with `qctl config set NAME --server URL --token TOKEN`",
  },
  QZ_QCTL_CONTEXT_UNKNOWN: {
    status: "not-found",
    message: "there is no context {context}; `qctl config view` lists those there are",
  },
  QZ_QCTL_CONTEXTS_INVALID: {
    status: "invalid",
    message: "{path} is no file of contexts ({problem}); mend or delete it",
  },
  QZ_QCTL_TOKEN_UNKNOWN: {
    status: "unauthorised",
    message:
      "no token is known for {server}; give one with --token, QUEZTL_TOKEN or `qctl config set`",
  },
  QZ_QCTL_INPUT_INVALID: { status: "invalid", message: "{field} must be {expected}" },
  QZ_QCTL_COMMAND_UNKNOWN: { status: "invalid", message: "{command} is not a command{suggestion}" },
  QZ_QCTL_CONFIRMATION_MISSING: {
    status: "invalid",
    message: "nobody can be asked here ({question}); give --yes if you mean it",
  },
  QZ_QCTL_DECLINED: { status: "cancelled", message: "nothing was done" },
  QZ_QCTL_TERMINAL_MISSING: {
    status: "invalid",
    message: "{what} needs a terminal; {instead}",
  },
  QZ_QCTL_FILE_UNREADABLE: { status: "not-found", message: "{path} cannot be read: {problem}" },
  QZ_QCTL_FILE_UNWRITABLE: { status: "conflict", message: "{path} cannot be written: {problem}" },
  QZ_QCTL_CHECKSUM_WRONG: {
    status: "unavailable",
    message: "{path} arrived damaged and was not kept; fetch it again",
  },
  QZ_QCTL_TASK_FAILED: {
    status: "guest",
    message: "{task} {state}{problem}; `qctl task logs {task}` shows what it wrote",
  },
  QZ_QCTL_VM_FAILED: {
    status: "guest",
    message: "{vm} is {state}{problem}; `qctl vm logs {vm}` shows what it wrote",
  },
  QZ_QCTL_IMAGE_FAILED: { status: "guest", message: "the image {image} is {state}{problem}" },
  QZ_QCTL_NOT_DRAINED: {
    status: "conflict",
    message: "{node} was taken back into use before it was drained",
  },
  QZ_QCTL_PROGRAM_FAILED: { status: "guest", message: "{program} in {vm} failed: {problem}" },
  QZ_QCTL_TIMEOUT: {
    status: "timeout",
    message: "{what} took longer than {seconds} s; it may still go on",
  },
  QZ_QCTL_INTERRUPTED: { status: "cancelled", message: "interrupted{after}" },
  QZ_QCTL_CONSOLE_LOST: {
    status: "unavailable",
    message: "the connection to {what} broke ({problem}); what ran there may go on",
  },
  QZ_QCTL_SERVER_MISSING: {
    status: "unavailable",
    message:
      "no Queztl server is installed here; install @queztl/server, or name its program in QCTL_SERVER_COMMAND",
  },
  QZ_QCTL_SERVER_FAILED: {
    status: "unavailable",
    message: "the server {problem}; its words are in {log}",
  },
  QZ_QCTL_SERVER_RUNS: {
    status: "conflict",
    message: "a server of {home} runs at {url} already; stop it with `qctl down` first",
  },
  QZ_QCTL_PORT_TAKEN: {
    status: "conflict",
    message: "another program answers at {url}; give another port with `qctl up --port N`",
  },
  QZ_QCTL_SERVER_FOREIGN: {
    status: "conflict",
    message: "{server} is not a server that `qctl up` started here; stop it where it runs",
  },
});
