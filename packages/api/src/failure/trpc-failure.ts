import { type QueztlError, isQueztlError } from "@queztl/errors";
import { TRPCError } from "@trpc/server";
import { apiErrors } from "../errors.ts";
import { STATUS_TABLE } from "./status-table.ts";

/** What tRPC itself refuses, before any procedure runs, in our own codes. */
export function codedFailure(failure: unknown, at: FailurePlace): QueztlError {
  const { operation = "that operation", requestId = "unknown" } = at;
  if (isQueztlError(failure)) return failure;
  if (!(failure instanceof TRPCError)) {
    return apiErrors("QZ_API_INTERNAL", { requestId }, { cause: failure });
  }
  const { cause } = failure;
  if (isQueztlError(cause)) return cause;
  switch (failure.code) {
    case "NOT_FOUND":
      return apiErrors("QZ_API_OPERATION_UNKNOWN", { operation });
    case "METHOD_NOT_SUPPORTED":
      return apiErrors("QZ_API_METHOD_INVALID", {
        path: operation,
        method: "this method",
        allowed: "GET to look and POST to change",
      });
    case "UNSUPPORTED_MEDIA_TYPE":
      return apiErrors("QZ_API_MEDIA_TYPE_INVALID", { type: "another one" });
    case "PAYLOAD_TOO_LARGE":
      return apiErrors("QZ_API_BODY_TOO_LARGE", { limit: "the allowed number of" });
    case "PARSE_ERROR":
    case "BAD_REQUEST":
      return apiErrors("QZ_API_REQUEST_INVALID", { problem: problemOf(failure) });
    case "CLIENT_CLOSED_REQUEST":
      return apiErrors("QZ_API_CANCELLED");
    default:
      return apiErrors("QZ_API_INTERNAL", { requestId }, { cause: cause ?? failure });
  }
}

/** Where a failure was met. */
export interface FailurePlace {
  readonly operation?: string | undefined;
  readonly requestId?: string | undefined;
}

/** The same failure as tRPC throws it, with its status's code. */
export function toTrpcError(error: QueztlError): TRPCError {
  const { trpc: code } = STATUS_TABLE[error.status];
  return new TRPCError({ code, message: error.message, cause: error });
}

// tRPC's own words for a bad request hold no secrets, but may hold the whole of what was sent.
const problemOf = ({ message }: TRPCError) => message.slice(0, 200);
