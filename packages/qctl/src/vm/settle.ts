import type { QueztlClient } from "@queztl/api/client";
import { isQueztlError, type QueztlError } from "@queztl/errors";
import { qctlErrors } from "../errors.ts";
import type { Vm } from "../resources.ts";
import { waitFor } from "../session/wait.ts";
import { printableLine } from "../view/printable.ts";

/** How a call that takes long is seen to its end. */
export interface SettleOptions {
  readonly client: QueztlClient;
  readonly vm: string;
  /** The states in which it is over. */
  readonly goal: readonly Vm["state"][];
  /** The VM as it was before the call, for one after which there may be none to look at. */
  readonly known?: Vm | undefined;
  readonly signal: AbortSignal;
  readonly timeoutSeconds?: number | undefined;
  readonly onLost?: (failure: QueztlError | undefined) => void;
}

/**
 * Makes a call and waits until the VM is where the call was to bring it. A call that was lost under way,
 * or that the server ended because it took too long, is not repeated: what it began goes on, and is
 * looked at until it is over.
 */
export async function settle(call: Promise<Vm>, options: SettleOptions): Promise<Vm> {
  const { goal } = options;
  try {
    const vm = await call;
    return goal.includes(vm.state) ? vm : await awaitState(options, vm.name);
  } catch (failure) {
    if (options.signal.aborted) throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: "" });
    if (!isQueztlError(failure) || !wasUnderWay(failure)) throw failure;
    options.onLost?.(failure);
    return awaitState(options, options.vm, failure);
  }
}

async function awaitState(options: SettleOptions, name: string, lost?: QueztlError): Promise<Vm> {
  const { client, goal, signal, timeoutSeconds, onLost } = options;
  const gone = goal.includes("destroyed");
  let misses = 0;
  let last = options.known;
  const vm = await waitFor<Vm | undefined>({
    read: (ended) =>
      client.vm.get.query({ vm: name }, { signal: ended }).catch((failure: unknown) => {
        if (isQueztlError(failure) && failure.status === "not-found") return undefined;
        throw failure;
      }),
    done: (found) => {
      last = found ?? last;
      if (found === undefined) {
        misses += 1;
        // A call that never reached the server leaves nothing to wait for.
        return gone || misses > 5;
      }
      return goal.includes(found.state) || found.state === "crashed";
    },
    signal,
    what: name,
    ...(onLost === undefined ? {} : { onLost }),
    timeoutSeconds,
  });
  if (vm === undefined) {
    if (gone && last !== undefined) return { ...last, state: "destroyed" };
    const record = last === undefined ? undefined : await recordOf(client, last.id, signal);
    if (record !== undefined && record.problem !== null) throw vmFailed(record);
    throw lost ?? qctlErrors("QZ_QCTL_VM_FAILED", { vm: name, state: "gone", problem: "" });
  }
  if (!goal.includes(vm.state)) throw vmFailed(vm);
  return vm;
}

/** The record of a VM that could not be made, which says why. */
async function recordOf(
  client: QueztlClient,
  wanted: string,
  signal: AbortSignal,
): Promise<Vm | undefined> {
  const { items } = await client.vm.list.query({ states: ["destroyed"], limit: 100 }, { signal });
  return items.find(({ id }) => id === wanted);
}

/** The error for a VM that is not where it should be. */
export function vmFailed({ name, state, problem }: Vm): QueztlError {
  const why = problem === null ? "" : `: ${printableLine(problem.message)}`;
  return qctlErrors("QZ_QCTL_VM_FAILED", { vm: name, state, problem: why });
}

// Refused connections never reached a server; these may have.
const BROKEN =
  /ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT|ETIMEDOUT/;

/** Whether a failed call may have begun its work: it was cut off, or the server stopped waiting. */
export const wasUnderWay = ({ code, status, details }: QueztlError): boolean =>
  status === "timeout" ||
  (code === "QZ_API_UNREACHABLE" && BROKEN.test(String(details["problem"])));
