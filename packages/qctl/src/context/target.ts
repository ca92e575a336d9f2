import { qctlErrors } from "../errors.ts";
import type { Context, Contexts } from "./contexts.ts";

/** What may name a server, the strongest first. */
export interface TargetWishes {
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  readonly context?: string | undefined;
}

/** The server that a command talks to. */
export interface Target {
  readonly server: string;
  readonly token: string;
  /** The context that it comes from, if any. */
  readonly context?: string;
}

/**
 * The server and token of a command: what its flags say, then the environment (QUEZTL_SERVER,
 * QUEZTL_TOKEN, QUEZTL_CONTEXT), then the current context. A context's token goes to that context's
 * server only, whatever `--server` says.
 */
export function resolveTarget(
  flags: TargetWishes,
  environment: NodeJS.ProcessEnv,
  contexts: Contexts,
): Target {
  const server = flags.server ?? value(environment["QUEZTL_SERVER"]);
  const token = flags.token ?? value(environment["QUEZTL_TOKEN"]);
  const wanted = flags.context ?? value(environment["QUEZTL_CONTEXT"]);
  const name = wanted ?? (server === undefined ? contexts.current : undefined);
  const chosen = name === undefined ? undefined : contextNamed(contexts, name);
  const [found, context] = server === undefined ? [name, chosen] : contextOf(contexts, server);
  const address = server ?? chosen?.server;
  if (address === undefined) throw qctlErrors("QZ_QCTL_CONTEXT_MISSING");
  const secret = token ?? context?.token;
  if (secret === undefined) throw qctlErrors("QZ_QCTL_TOKEN_UNKNOWN", { server: address });
  return { server: address, token: secret, ...(found === undefined ? {} : { context: found }) };
}

/** The context of a name. Throws `QZ_QCTL_CONTEXT_UNKNOWN`. */
export function contextNamed({ contexts }: Contexts, name: string): Context {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (found === undefined) throw qctlErrors("QZ_QCTL_CONTEXT_UNKNOWN", { context: name });
  return found;
}

function contextOf({ contexts }: Contexts, server: string): [string?, Context?] {
  const address = normal(server);
  return Object.entries(contexts).find(([, each]) => normal(each.server) === address) ?? [];
}

const normal = (address: string): string =>
  URL.canParse(address) ? new URL(address).href.replace(/\/+$/, "") : address;

const value = (text: string | undefined): string | undefined => (text === "" ? undefined : text);
