import { apiErrors } from "../errors.ts";
import type { Principal } from "./principal.ts";

/** Checks a token's secret; undefined for one that is unknown, expired or revoked. */
export type Authenticate = (secret: string) => Promise<Principal | undefined>;

/** What a request brings with it to every procedure. */
export interface ApiContext {
  /** Who calls. Rejects with `QZ_API_TOKEN_MISSING` or `QZ_API_TOKEN_INVALID`. Asks once a request. */
  principal(): Promise<Principal>;
  /** Names the request in logs and in the message of an internal error. */
  readonly requestId: string;
}

/** What a transport knows of a request. */
export interface ContextOptions {
  readonly authenticate: Authenticate;
  /** The header `Authorization` as it came. */
  readonly authorization: string | null | undefined;
  readonly requestId?: string | undefined;
}

// A token is shorter; a header of megabytes must not reach a hash function.
const longestSecret = 512;

/** The context of one HTTP request or of one batch. Throws nothing: a bad token is refused by each procedure. */
export function createContext(options: ContextOptions): ApiContext {
  const { authenticate, authorization, requestId = crypto.randomUUID() } = options;
  let asked: Promise<Principal> | undefined;
  return {
    requestId,
    principal: () => (asked ??= authenticated(authenticate, authorization ?? "")),
  };
}

/** A context that is trusted without a token, for a server's calls of its own router. */
export function createTrustedContext(principal: Principal, requestId = "system"): ApiContext {
  return { requestId, principal: async () => principal };
}

async function authenticated(
  authenticate: Authenticate,
  authorization: string,
): Promise<Principal> {
  if (authorization === "") throw apiErrors("QZ_API_TOKEN_MISSING");
  const secret = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1];
  if (secret === undefined || secret.length > longestSecret) {
    throw apiErrors("QZ_API_TOKEN_INVALID");
  }
  const principal = await authenticate(secret);
  if (principal === undefined) throw apiErrors("QZ_API_TOKEN_INVALID");
  return principal;
}
