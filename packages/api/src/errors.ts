import { defineErrors } from "@queztl/errors";

/** Builds the errors of the contract itself; what a service fails with keeps the service's own code. */
export const apiErrors = defineErrors({
  QZ_API_TOKEN_MISSING: {
    status: "unauthorised",
    message: "no token was sent; send the header `Authorization: Bearer TOKEN`",
  },
  QZ_API_TOKEN_INVALID: {
    status: "unauthorised",
    message: "the token is not known, has expired or was revoked; use another one",
  },
  QZ_API_SCOPE_MISSING: {
    status: "forbidden",
    message: "{operation} needs the scope {scope}, which this token does not have",
  },
  QZ_API_SCOPE_EXCEEDED: {
    status: "forbidden",
    message: "a token cannot give away {scopes}, which it does not have itself",
  },
  QZ_API_INPUT_INVALID: {
    status: "invalid",
    message: "the input of {operation} is wrong: {problems}",
  },
  QZ_API_GPU_UNAVAILABLE: {
    status: "unavailable",
    message: "no node has a GPU engine yet, so {gpu} GPUs cannot be had; leave gpu out",
  },
  QZ_API_OPERATION_UNKNOWN: {
    status: "not-found",
    message: "there is no {operation} here; the document at /openapi.json lists what there is",
  },
  QZ_API_METHOD_INVALID: {
    status: "invalid",
    message: "{path} does not answer {method}; use {allowed}",
  },
  QZ_API_REQUEST_INVALID: {
    status: "invalid",
    message: "the request cannot be read: {problem}",
  },
  QZ_API_BODY_TOO_LARGE: {
    status: "invalid",
    message: "the body is larger than {limit} bytes; send large files in pieces with file.write",
  },
  QZ_API_MEDIA_TYPE_INVALID: {
    status: "invalid",
    message: "the body must be application/json in UTF-8; got {type}",
  },
  QZ_API_OUTPUT_INVALID: {
    status: "internal",
    message: "the server's answer to {operation} breaks its contract; report this: {problems}",
  },
  QZ_API_INTERNAL: {
    status: "internal",
    message: "the server failed; its log has the cause under request {requestId}",
  },
  QZ_API_UNREACHABLE: {
    status: "unavailable",
    message: "{url} does not answer ({problem}); check the address and that the server runs",
  },
  QZ_API_RESPONSE_INVALID: {
    status: "unavailable",
    message: "{url} does not speak this API ({problem}); check the address and any proxy before it",
  },
  QZ_API_TIMEOUT: {
    status: "timeout",
    message: "{url} did not answer within {seconds} s; what was asked for may still happen",
  },
  QZ_API_CANCELLED: {
    status: "cancelled",
    message: "the call was given up; what it asked for may still happen",
  },
  QZ_API_CLIENT_INVALID: {
    status: "invalid",
    message: "{field} must be {expected}",
  },
  QZ_API_FRAME_INVALID: {
    status: "invalid",
    message: "a console frame {problem}",
  },
});
