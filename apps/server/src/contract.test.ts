import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contractCases, type ContractTarget, createContractKit } from "@queztl/api/contract";
import { callerTarget, clientTarget, restTarget } from "@queztl/api/testing";
import {
  type PrivatePostgres,
  postgresPrograms,
  startPrivatePostgres,
} from "./testing/private-postgres.ts";
import { startTestServer, type TestServer } from "./testing/start-test-server.ts";

const limits = { "limits.refusalsPerMinute": 1_000_000 };

describe("embedded database", () => {
  let running: TestServer;
  beforeAll(async () => {
    running = await startTestServer(limits);
  }, 120_000);
  afterAll(() => running?.close());
  const transports = {
    "the router's caller": () => callerTarget(running.server.services),
    "the typed client over HTTP": () => clientTarget(running.server.url),
    REST: () => restTarget(running.server.url),
  };
  runCases(transports, () => running.token);
});

// Debian's package `postgresql` has it; .ci/run installs it.
describe.skipIf(postgresPrograms() === undefined)("Postgres", () => {
  let postgres: PrivatePostgres;
  let running: TestServer;
  beforeAll(async () => {
    postgres = await startPrivatePostgres();
    running = await startTestServer({ ...limits, "database.url": postgres.url });
  }, 120_000);
  afterAll(async () => {
    await running?.close();
    await postgres?.stop();
  });
  runCases(
    { "the typed client over HTTP": () => clientTarget(running.server.url) },
    () => running.token,
  );

  test("a second server on the same database → QZ_SERVER_DATABASE_IN_USE", async () => {
    await expect(startTestServer({ "database.url": postgres.url })).rejects.toMatchObject({
      code: "QZ_SERVER_DATABASE_IN_USE",
    });
  });
});

function runCases(transports: Record<string, () => ContractTarget>, token: () => string): void {
  for (const [transport, targetOf] of Object.entries(transports)) {
    describe(transport, () => {
      test.each(contractCases)("$name", { timeout: 30_000 }, async ({ run }) => {
        const kit = createContractKit({ target: targetOf(), token: token(), expect });
        await expect(run(kit)).resolves.toBeUndefined();
      });
    });
  }
}
