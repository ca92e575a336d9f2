/**
 * Services in memory behind a real HTTP server, for tests of clients: VMs are records, tasks end at once, nothing boots.
 */
export { ADMIN_TOKEN, createFakeServices } from "./fake-services.ts";
export { startTestServer } from "./targets.ts";
export type { TestServer } from "./targets.ts";
