import { isQueztlError } from "@queztl/errors";
import { apiErrors } from "../errors.ts";
import { responseInvalid } from "./failures.ts";

/** As much of `fetch` as is needed. */
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** What every request of a client has. */
export interface HttpOptions {
  /** The server's address, for messages. */
  readonly url: string;
  readonly token: string | (() => string | Promise<string>);
  readonly fetch: Fetch;
  /** 0 for none. */
  readonly timeoutSeconds: number;
}

/** A `fetch` that sends the token and fails with coded errors only. */
export function authorisedFetch(options: HttpOptions): Fetch {
  const { url, token, timeoutSeconds } = options;
  return async (input, init = {}) => {
    const secret = typeof token === "function" ? await token() : token;
    if (!/^[\x21-\x7e]+$/.test(secret)) {
      throw apiErrors("QZ_API_CLIENT_INVALID", {
        field: "token",
        expected: "printable characters without spaces",
      });
    }
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${secret}`);
    // A redirect could carry the token to another host.
    const request: RequestInit = { ...init, headers, redirect: "error" };
    const limit = timeoutSeconds > 0 ? AbortSignal.timeout(timeoutSeconds * 1000) : undefined;
    const signals = [init.signal ?? undefined, limit].filter((signal) => signal !== undefined);
    if (signals.length > 0) request.signal = AbortSignal.any(signals);
    try {
      return await options.fetch(input, request);
    } catch (cause) {
      if (isQueztlError(cause)) throw cause;
      if (init.signal?.aborted === true) throw apiErrors("QZ_API_CANCELLED", {}, { cause });
      if (limit?.aborted === true) {
        throw apiErrors("QZ_API_TIMEOUT", { url, seconds: timeoutSeconds }, { cause });
      }
      throw apiErrors("QZ_API_UNREACHABLE", { url, problem: problemOf(cause) }, { cause });
    }
  };
}

/** Lets only JSON through: whatever else comes is no server of this contract. */
export const jsonOnly =
  (send: Fetch, url: string): Fetch =>
  async (input, init) => {
    const response = await send(input, init);
    const type = response.headers.get("content-type") ?? "no content type";
    if (type.startsWith("application/json")) return response;
    await response.body?.cancel().catch(() => undefined);
    throw responseInvalid(url, response.status, type);
  };

/** Node hides the reason of a failed fetch in the cause of its cause. */
function problemOf(failure: unknown): string {
  const { cause, message } = failure instanceof Error ? failure : new Error(String(failure));
  if (cause instanceof Error) {
    return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
  }
  return message;
}
