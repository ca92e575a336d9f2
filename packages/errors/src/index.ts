export { QueztlError, defineErrors, isQueztlError } from "./queztl-error.ts";
export type { ErrorCatalogue, ErrorEntry, ErrorStatus, ErrorThrower } from "./queztl-error.ts";
