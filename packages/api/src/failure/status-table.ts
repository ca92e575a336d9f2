import type { ErrorStatus } from "@queztl/errors";
import type { TRPC_ERROR_CODE_KEY } from "@trpc/server";

/** How one kind of failure is told over tRPC and HTTP. */
export interface StatusRow {
  readonly trpc: TRPC_ERROR_CODE_KEY;
  readonly http: number;
}

/** The only place that maps a failure's status; RFC 9110, 15 for the meaning of the numbers. */
export const STATUS_TABLE: Readonly<Record<ErrorStatus, StatusRow>> = {
  invalid: { trpc: "BAD_REQUEST", http: 400 },
  unauthorised: { trpc: "UNAUTHORIZED", http: 401 },
  forbidden: { trpc: "FORBIDDEN", http: 403 },
  "not-found": { trpc: "NOT_FOUND", http: 404 },
  conflict: { trpc: "CONFLICT", http: 409 },
  exhausted: { trpc: "TOO_MANY_REQUESTS", http: 429 },
  cancelled: { trpc: "CLIENT_CLOSED_REQUEST", http: 499 },
  internal: { trpc: "INTERNAL_SERVER_ERROR", http: 500 },
  guest: { trpc: "BAD_GATEWAY", http: 502 },
  unavailable: { trpc: "SERVICE_UNAVAILABLE", http: 503 },
  timeout: { trpc: "GATEWAY_TIMEOUT", http: 504 },
};

// What HTTP itself has a finer number for than the status has.
const finer = new Map([
  ["QZ_API_METHOD_INVALID", 405],
  ["QZ_API_BODY_TOO_LARGE", 413],
  ["QZ_API_MEDIA_TYPE_INVALID", 415],
]);

/** The HTTP status that answers an error. */
export const httpStatusOf = (error: {
  readonly code: string;
  readonly status: ErrorStatus;
}): number => finer.get(error.code) ?? STATUS_TABLE[error.status].http;
