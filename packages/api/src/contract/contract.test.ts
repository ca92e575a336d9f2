import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADMIN_TOKEN, createFakeServices } from "../testing/fake-services.ts";
import { callerTarget, clientTarget, restTarget } from "../testing/targets.ts";
import { startTestServer, type TestServer } from "../testing/test-server.ts";
import { contractCases, type ContractTarget, createContractKit } from "./index.ts";

let server: TestServer;
const services = createFakeServices();
const transports: Record<string, () => ContractTarget> = {
  "the router's caller": () => callerTarget(services),
  "the typed client over HTTP": () => clientTarget(server.url),
  REST: () => restTarget(server.url),
};

beforeAll(async () => {
  server = await startTestServer(services);
});
afterAll(() => server.close());

for (const [transport, targetOf] of Object.entries(transports)) {
  describe(transport, () => {
    test.each(contractCases)("$name", async ({ run }) => {
      const kit = createContractKit({ target: targetOf(), token: ADMIN_TOKEN, expect });
      await expect(run(kit)).resolves.toBeUndefined();
    });
  });
}

test("the cases → four about access for each of the procedures, each with its own name", () => {
  expect(new Set(contractCases.map(({ name }) => name)).size).toBe(contractCases.length);
  expect(contractCases.filter(({ name }) => name.includes("without a token"))).toHaveLength(62);
});
