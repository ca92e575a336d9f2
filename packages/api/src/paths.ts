/** Where a server answers tRPC. */
export const TRPC_PATH = "/trpc";
/** Where a server gives its OpenAPI document. */
export const OPENAPI_PATH = "/openapi.json";
/** The most calls that a client puts into one batch, and a server should accept. */
export const LARGEST_BATCH = 50;
