import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { qctl, temporaryHome } from "./support/cli.ts";

const home = temporaryHome();
let server: TestServer;
/** Stands between the command and the server, and breaks connections. */
let between: Server;
/** The calls that arrived; the first one named like `lost` is done, and its answer lost. */
let arrived: string[] = [];
let lost = "";
/** The call that is held up: before it reaches the server, or its answer. */
let held: { readonly call: string; readonly at: "call" | "answer" } | undefined;
let holds = false;

beforeAll(async () => {
  server = await startTestServer(createFakeServices());
  between = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    arrived.push(path);
    const cut = lost !== "" && path.includes(lost);
    if (cut) lost = "";
    const hold = held !== undefined && path.includes(held.call) ? held.at : undefined;
    if (hold === "call") {
      holds = true;
      return;
    }
    const { method, headers } = incoming;
    const forwarded = request(new URL(path, server.url), { method, headers }, (answer) => {
      if (cut) {
        answer.resume().on("end", () => outgoing.destroy());
        return;
      }
      if (hold === "answer") {
        holds = true;
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  const { port } = between.address() as AddressInfo;
  vi.stubEnv("QUEZTL_HOME", home.path);
  vi.stubEnv("QUEZTL_SERVER", `http://127.0.0.1:${port}`);
  vi.stubEnv("QUEZTL_TOKEN", ADMIN_TOKEN);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  between.closeAllConnections();
  await new Promise((resolve) => between.close(resolve));
  await server.close();
  home.remove();
});
beforeEach(() => {
  arrived = [];
  held = undefined;
  holds = false;
});

const callsOf = (name: string) => arrived.filter((path) => path.includes(name)).length;

test("vm create whose answer is lost → made once, and shown as it is", async () => {
  lost = "vm.create";
  const made = await qctl("vm", "create", "web", "--cpu", "1", "--memory", "512");
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/State +running/) });
  expect(callsOf("vm.create")).toBe(1);
});

test("vm stop and destroy whose answers are lost → done once, told as done", async () => {
  lost = "vm.stop";
  expect((await qctl("vm", "stop", "web")).stdout).toBe("web stopped\n");
  lost = "vm.destroy";
  expect((await qctl("vm", "destroy", "web", "--yes")).stdout).toBe("web destroyed\n");
  expect([callsOf("vm.stop"), callsOf("vm.destroy")]).toEqual([1, 1]);
});

test("task submit whose answer is lost → sent again, and there is one task", async () => {
  lost = "task.submit";
  const { stdout, code } = await qctl("task", "submit", "count", "-o", "name");
  expect(code).toBe(0);
  expect(callsOf("task.submit")).toBe(2);
  expect((await qctl("task", "list", "-o", "name")).stdout).toBe(stdout);
});

test.each([
  ["begun", "answer", "; slow is running and goes on: `qctl vm destroy slow --force`"],
  ["not begun", "call", "; no VM never is left"],
] as const)("ctrl-c in a vm create that is %s → 130, and what is left", async (_, at, told) => {
  const name = at === "answer" ? "slow" : "never";
  held = { call: "vm.create", at };
  const making = qctl("vm", "create", name, "--cpu", "1", "--memory", "512");
  await vi.waitFor(() => expect(holds).toBe(true), 10_000);
  process.emit("SIGINT");
  const { stdout, stderr, code } = await making;
  expect({ stdout, code }).toEqual({ stdout: "", code: 130 });
  expect(stderr).toContain(told);
});
