import { defineErrors } from "@queztl/errors";

/** Builds the errors of the server itself; packages below keep their own codes. */
export const serverErrors = defineErrors({
  QZ_SERVER_NOT_FOUND: { status: "not-found", message: "there is no {kind} {wanted}" },
  QZ_SERVER_NAME_TAKEN: {
    status: "conflict",
    message: "there is a {kind} called {name} already; choose another name",
  },
  QZ_SERVER_STATE: {
    status: "conflict",
    message: "{kind} {id} is {state}; that needs one that is {needed}",
  },
  QZ_SERVER_FILE_OFFSET: {
    status: "conflict",
    message: "file {id} goes on at byte {received}, not {offset}",
  },
  QZ_SERVER_FILE_TOO_LONG: {
    status: "invalid",
    message: "file {id} was announced with {bytes} bytes; this piece goes beyond",
  },
  QZ_SERVER_FILE_INCOMPLETE: {
    status: "conflict",
    message: "file {id} has {received} of its {bytes} bytes; send the rest first",
  },
  QZ_SERVER_FILE_CHECKSUM: {
    status: "invalid",
    message: "the bytes of file {id} have another SHA-256 than was announced; send it again",
  },
  QZ_SERVER_STORAGE_FULL: {
    status: "exhausted",
    message: "{what} would take more than {limit} MiB; remove files or raise {setting}",
  },
  QZ_SERVER_SETTING_INVALID: { status: "invalid", message: "{key} cannot be {value}: {problem}" },
  QZ_SERVER_SETTING_FIXED: {
    status: "conflict",
    message: "{key} comes from the {source} and cannot be changed here",
  },
  QZ_SERVER_CONFIG_INVALID: { status: "invalid", message: "the configuration is wrong: {problem}" },
  QZ_SERVER_USAGE: {
    status: "invalid",
    message: "{problem}; run queztl-server --help for the flags",
  },
  QZ_SERVER_HOME_IN_USE: {
    status: "conflict",
    message: "another server (process {pid}) uses {home}; stop it or set another QUEZTL_HOME",
  },
  QZ_SERVER_DATABASE_IN_USE: {
    status: "conflict",
    message: "another server uses this database; stop it or set another DATABASE_URL",
  },
  QZ_SERVER_DATABASE_UNAVAILABLE: {
    status: "unavailable",
    message: "the database does not answer ({problem}); check that it runs and try again",
  },
  QZ_SERVER_ADDRESS_IN_USE: {
    status: "conflict",
    message: "{host}:{port} cannot be listened on ({problem}); choose another --port",
  },
  QZ_SERVER_QUEUE_FULL: {
    status: "exhausted",
    message: "{queued} tasks wait already, as many as queue.most allows; try again later",
  },
  QZ_SERVER_TOO_LARGE: {
    status: "exhausted",
    message: "{what} of {wanted} is more than any node has ({capacity})",
  },
  QZ_SERVER_NO_CAPACITY: {
    status: "exhausted",
    message: "no node has {wanted} free now; stop a VM or try again later",
  },
  QZ_SERVER_RATE_LIMITED: {
    status: "exhausted",
    message: "too many requests; try again in {seconds} s",
  },
  QZ_SERVER_STOPPING: { status: "unavailable", message: "the server is stopping; try again soon" },
  QZ_SERVER_PORT_TAKEN: {
    status: "conflict",
    message: "port {port} of this computer cannot be forwarded: {problem}; choose another one",
  },
  QZ_SERVER_TICKET_INVALID: {
    status: "unauthorised",
    message: "the ticket is not known, was used or has expired; ask for a new one",
  },
  QZ_SERVER_NODE_BUSY: {
    status: "conflict",
    message: "node {node} cannot be removed: {problem}",
  },
  QZ_SERVER_UNSUPPORTED: {
    status: "unavailable",
    message: "{what} is not possible yet; {instead}",
  },
  QZ_SERVER_VM_UNAVAILABLE: {
    status: "unavailable",
    message: "this server has nothing to run VMs with: {problem}",
  },
  QZ_SERVER_VM_CRASHED: { status: "internal", message: "VM {vm} ended unexpectedly: {problem}" },
  QZ_SERVER_TASK_REFUSED: {
    status: "invalid",
    message: "the skill {skill} refuses its input: {problem}",
  },
  QZ_SERVER_TASK_FAILED: {
    status: "guest",
    message: "the program ended with status {exitCode}; its log says why",
  },
  QZ_SERVER_TASK_OUT_OF_MEMORY: {
    status: "exhausted",
    message: "the program needed more memory than the {memoryMib} MiB that it may have",
  },
  QZ_SERVER_TASK_TIME_LIMIT: {
    status: "timeout",
    message: "the attempt was stopped after its limit of {seconds} s; set limits.timeSeconds",
  },
  QZ_SERVER_TASK_DEADLINE: { status: "timeout", message: "the deadline {deadline} has passed" },
  QZ_SERVER_TASK_LOST: {
    status: "unavailable",
    message: "the VM was lost in each of {attempts} attempts: {problem}",
  },
  QZ_SERVER_RESULT_TOO_LARGE: {
    status: "exhausted",
    message: "the task left more than {limit} in its directory; write less or elsewhere",
  },
});
