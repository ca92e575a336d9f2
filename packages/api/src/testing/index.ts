/**
 * For tests of servers and clients: services in memory behind a real HTTP server (VMs are records, tasks end at once, nothing
 * boots), and the ways on which the contract's cases reach any server.
 */
export { ADMIN_TOKEN, createFakeServices } from "./fake-services.ts";
export { callerTarget, clientTarget, restTarget } from "./targets.ts";
export { startTestServer } from "./test-server.ts";
export type { TestServer } from "./test-server.ts";
