import { afterEach, expect, test, vi } from "vitest";
import { startTestServer, type TestServer } from "../testing/start-test-server.ts";

let running: TestServer | undefined;
afterEach(() => running?.close());

const node = "local";

/** A server with a task that runs until it is cancelled. */
async function withTask() {
  const { client } = (running = await startTestServer());
  const { id } = await client.task.submit.mutate({
    description: "wait",
    command: ["sleep", "1000"],
  });
  const task = async () => (await client.task.get.query({ task: id })).state;
  const local = async () => client.node.get.query({ node });
  await vi.waitFor(async () => expect(await task()).toBe("running"), 20_000);
  return { client, task, local };
}

test("a drain whose deadline is over → its task waits in the queue, and runs again when it may", async () => {
  const { client, task, local } = await withTask();
  const begun = await client.node.drain.mutate({ node, deadlineSeconds: 0 });
  expect(begun).toMatchObject({ state: "draining", cordoned: true });
  await vi.waitFor(async () => expect((await local()).state).toBe("ready"), 20_000);
  expect([await task(), (await local()).cordoned]).toEqual(["queued", true]);
  await client.node.cordon.mutate({ node, cordoned: false });
  await vi.waitFor(async () => expect(await task()).toBe("running"), 20_000);
});

test("a node taken back into use while it drains → its task goes on beyond the deadline", async () => {
  const { client, task, local } = await withTask();
  await client.node.drain.mutate({ node, deadlineSeconds: 1 });
  const back = await client.node.cordon.mutate({ node, cordoned: false });
  expect(back).toMatchObject({ state: "ready", cordoned: false });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect([await task(), (await local()).state]).toEqual(["running", "ready"]);
});

test("a second drain → its deadline holds, not the first one's", async () => {
  const { client, task, local } = await withTask();
  await client.node.drain.mutate({ node, deadlineSeconds: 1000 });
  await client.node.drain.mutate({ node, deadlineSeconds: 0 });
  await vi.waitFor(async () => expect((await local()).state).toBe("ready"), 20_000);
  expect(await task()).toBe("queued");
});
