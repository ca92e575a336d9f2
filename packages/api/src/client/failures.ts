import { type QueztlError, isQueztlError } from "@queztl/errors";
import { isTRPCClientError } from "@trpc/client";
import { apiErrors } from "../errors.ts";
import { fromWireError } from "../failure/wire-error.ts";
import { StreamFailure } from "./stream-failure.ts";

/** A failed call as the error that the server threw, or as one of the client's own. */
export function reviveFailure(url: string, failure: unknown): QueztlError {
  if (isQueztlError(failure)) return failure;
  const { cause } = failure instanceof Error ? failure : {};
  if (isQueztlError(cause)) return cause;
  if (cause instanceof StreamFailure) return cause.error;
  if (isAbort(failure) || isAbort(cause)) {
    return apiErrors("QZ_API_CANCELLED", {}, { cause: failure });
  }
  const sent: unknown = isTRPCClientError(failure) ? failure.data?.["queztl"] : undefined;
  const problem = failure instanceof Error ? failure.message : "an unknown failure";
  return (
    fromWireError(sent, failure) ??
    apiErrors("QZ_API_RESPONSE_INVALID", { url, problem }, { cause: failure })
  );
}

/** The error in a refused request's answer, in tRPC's envelope or REST's. */
export async function failureOfResponse(url: string, response: Response): Promise<QueztlError> {
  const type = response.headers.get("content-type") ?? "no content type";
  if (type.includes("json")) {
    const body: unknown = await response.json().catch(() => undefined);
    const error = property(body, "error");
    const sent = property(property(error, "data"), "queztl") ?? error;
    const revived = fromWireError(sent);
    if (revived !== undefined) return revived;
  } else {
    await response.body?.cancel().catch(() => undefined);
  }
  return responseInvalid(url, response.status, type);
}

/** The error for an answer that no server of this contract gives, such as a proxy's page. */
export const responseInvalid = (url: string, status: number, type: string): QueztlError =>
  apiErrors("QZ_API_RESPONSE_INVALID", { url, problem: `HTTP ${status} with ${type}` });

const property = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;

const isAbort = (value: unknown) => value instanceof Error && value.name === "AbortError";
