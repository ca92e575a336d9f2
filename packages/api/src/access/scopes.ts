/** Everything a token can be allowed to do. `admin` allows all of it. */
export const SCOPES = [
  "admin",
  "vm:read",
  "vm:write",
  "vm:exec",
  "task:read",
  "task:write",
  "brain:read",
  "brain:write",
  "node:read",
  "node:write",
  "image:read",
  "image:write",
  "file:read",
  "file:write",
  "stats:read",
  "config:read",
  "config:write",
  "events:read",
  "token:read",
  "token:write",
] as const;

/** One thing a token can be allowed to do: a resource, a colon, and `read`, `write` or `exec`. */
export type Scope = (typeof SCOPES)[number];

/**
 * Whether a token with `held` may do what needs `wanted`: it holds that scope, `admin`, or, for
 * reading, any scope of the same resource, because who may change a thing may look at it.
 */
export function allows(held: readonly Scope[], wanted: Scope): boolean {
  if (held.includes(wanted) || held.includes("admin")) return true;
  const [resource, deed] = wanted.split(":");
  return deed === "read" && held.some((scope) => scope.startsWith(`${resource}:`));
}

/** The scopes of `wanted` that `held` does not cover: what a token may not give away. */
export const scopesBeyond = (held: readonly Scope[], wanted: readonly Scope[]): Scope[] =>
  wanted.filter((scope) => !allows(held, scope));
