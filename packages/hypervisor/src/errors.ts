import { defineErrors } from "@queztl/errors";
import type { ErrorCatalogue } from "@queztl/errors";

/** Every error this package throws. */
export const hypervisorErrors = {
  QZ_HYPERVISOR_OPTIONS: {
    status: "invalid",
    message: "{option} of {value} is not possible: {expected}",
  },
  QZ_HYPERVISOR_STATE: {
    status: "conflict",
    message: "the machine is {state}: {operation} needs one that is {wanted}",
  },
  QZ_HYPERVISOR_SNAPSHOT: {
    status: "invalid",
    message: "this is not a snapshot that this machine can go on from: {reason}",
  },
  QZ_HYPERVISOR_SNAPSHOT_FILE: {
    status: "unavailable",
    message: "the snapshot {path} cannot be used: {reason}",
  },
  QZ_HYPERVISOR_TEMPLATE: {
    status: "unavailable",
    message: "the template of {name} cannot be kept: {reason}",
  },
  QZ_HYPERVISOR_FILE: {
    status: "not-found",
    message: "{what} {path} cannot be read ({reason}): check the path and its permissions",
  },
  QZ_HYPERVISOR_UNSUPPORTED: {
    status: "unavailable",
    message: "{what} is not there: {instead}",
  },
  QZ_HYPERVISOR_CRASHED: {
    status: "internal",
    message:
      "the machine crashed inside the monitor: {reason}; this is a defect of Queztl, please report it",
  },
  QZ_HYPERVISOR_USAGE: {
    status: "invalid",
    message: "{problem}; see queztl-vm run --help",
  },
  QZ_HYPERVISOR_VM_UNKNOWN: {
    status: "not-found",
    message: "there is no VM {id}: queztl-vm list shows those there are",
  },
  QZ_HYPERVISOR_VM_EXISTS: {
    status: "conflict",
    message: "there is a VM {id} already: choose another id, or destroy it",
  },
  QZ_HYPERVISOR_VM_STATE: {
    status: "conflict",
    message: "the VM is {state}: {operation} needs one that is {wanted}",
  },
  QZ_HYPERVISOR_VM_START: {
    status: "unavailable",
    message: "the VM {id} did not start: {reason}",
  },
  QZ_HYPERVISOR_VM_LOST: {
    status: "unavailable",
    message: "the VM {id} cannot be reached: {reason}",
  },
  QZ_HYPERVISOR_VM_PROTOCOL: {
    status: "unavailable",
    message: "the monitor of the VM {id} is of another version, or is none: {reason}",
  },
  QZ_HYPERVISOR_VM_FOLDER: {
    status: "unavailable",
    message: "{path} does not belong to a VM of this version: {reason}",
  },
  QZ_HYPERVISOR_VM_LIMIT: {
    status: "exhausted",
    message: "{what} reached its limit of {limit}",
  },
  QZ_HYPERVISOR_VM_CANCELLED: {
    status: "cancelled",
    message: "{what} was given up",
  },
  QZ_HYPERVISOR_AGENT_UNAVAILABLE: {
    status: "unavailable",
    message:
      "the guest's agent did not answer within {ms} ms: the guest has not booted yet, or its image has no agent",
  },
  QZ_HYPERVISOR_AGENT_VERSION: {
    status: "unavailable",
    message:
      "the guest's agent {version} speaks version {protocol} of the protocol, not {expected}: build the image anew",
  },
  QZ_HYPERVISOR_AGENT_CLOSED: {
    status: "unavailable",
    message: "there is no connection to the guest's agent: {reason}",
  },
  QZ_HYPERVISOR_AGENT_RESTARTED: {
    status: "unavailable",
    message:
      "the session with the guest's agent ended during {what} ({reason}): how that ended is not known",
  },
  QZ_HYPERVISOR_AGENT_PROTOCOL: {
    status: "guest",
    message: "the guest's agent does not keep to the protocol: {reason}",
  },
  QZ_HYPERVISOR_AGENT_COMMAND: {
    status: "not-found",
    message: "{command} did not start in the guest: {reason}",
  },
  QZ_HYPERVISOR_AGENT_REFUSED: {
    status: "invalid",
    message: "the guest refuses {what}: {reason}",
  },
  QZ_HYPERVISOR_AGENT_LIMIT: {
    status: "exhausted",
    message: "{what} is more than {limit}: raise the limit, or ask for less",
  },
  QZ_HYPERVISOR_AGENT_TIMEOUT: {
    status: "timeout",
    message: "the guest's agent did not finish {what} within {ms} ms",
  },
  QZ_HYPERVISOR_AGENT_CANCELLED: {
    status: "cancelled",
    message: "{what} in the guest was given up",
  },
} as const satisfies ErrorCatalogue;

export const hypervisorError = defineErrors(hypervisorErrors);
