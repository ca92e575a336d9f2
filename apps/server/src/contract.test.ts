import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contractCases, type ContractTarget, createContractKit } from "@queztl/api/contract";
import { startTestServer, type TestServer } from "./testing/start-test-server.ts";
import { callerTarget, clientTarget, restTarget } from "./testing/targets.ts";

let test1: TestServer;

beforeAll(async () => {
  test1 = await startTestServer({ "limits.refusalsPerMinute": 1_000_000 });
}, 120_000);
afterAll(() => test1?.close());

const transports: Record<string, () => ContractTarget> = {
  "the router's caller": () => callerTarget(test1.server.services),
  "the typed client over HTTP": () => clientTarget(test1.server.url),
  REST: () => restTarget(test1.server.url),
};

for (const [transport, targetOf] of Object.entries(transports)) {
  describe(`${transport}, embedded database`, () => {
    test.each(contractCases)("$name", { timeout: 30_000 }, async ({ run }) => {
      const kit = createContractKit({ target: targetOf(), token: test1.token, expect });
      await expect(run(kit)).resolves.toBeUndefined();
    });
  });
}
