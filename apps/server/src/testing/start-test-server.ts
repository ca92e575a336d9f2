import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createQueztlClient, type QueztlClient } from "@queztl/api";
import pino from "pino";
import type { GivenSettings } from "../config/load-config.ts";
import { type RunningServer, type ServerOptions, startServer } from "../server.ts";
import { createProcessVms } from "./process-vms.ts";

/** Where tests keep an initialised database, so that each of them copies one and none makes one. */
export const TEST_CACHE = process.env["QUEZTL_CACHE"] ?? join(tmpdir(), "queztl-cache");

/** A server in an empty home of its own, with a client that may do everything. */
export interface TestServer {
  readonly server: RunningServer;
  readonly token: string;
  readonly client: QueztlClient;
  readonly home: string;
  /** Stops the server and deletes its home. */
  close(): Promise<void>;
}

export async function startTestServer(
  settings: GivenSettings = {},
  options: Partial<ServerOptions> = {},
): Promise<TestServer> {
  const home = settings.home ?? (await mkdtemp(join(tmpdir(), "queztl-server-")));
  const server = await startServer({
    environment: {},
    log: pino({ level: process.env["QUEZTL_TEST_LOG"] ?? "silent" }),
    vmHost: (folder) => createProcessVms(folder),
    ...options,
    settings: { cache: TEST_CACHE, port: 0, "stop.graceSeconds": 0.1, ...settings, home },
  });
  const token = server.token ?? "";
  return {
    server,
    token,
    client: createQueztlClient({ url: server.url, token }),
    home,
    async close() {
      await server.close();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
