import { existsSync, readFileSync } from "node:fs";
import { expect, test as base, vi } from "vitest";
import type { ByteChannel } from "../../agent/channel.ts";
import type { AgentClient } from "../../agent/client.ts";
import { FrameDecoder, FrameType, WINDOW, encodeFrames, encodeMarker } from "../../agent/frame.ts";
import type { Frame } from "../../agent/frame.ts";
import { encodeFields } from "../../agent/records.ts";
import { agentFixtures } from "../../agent/testing/perl-agent.ts";
import type { AgentFixtures } from "../../agent/testing/perl-agent.ts";
import { AgentHub } from "./agent-hub.ts";
import { clientOf, socketPair } from "./testing/hub-client.ts";

interface HubFixtures extends AgentFixtures {
  readonly hub: AgentHub;
}

const test = base.extend<HubFixtures>({
  ...agentFixtures,
  hub: async ({ agent }, use) => {
    const hub = new AgentHub(() => undefined);
    hub.use(agent);
    await use(hub);
    hub.close();
  },
});

const sh = (script: string) => ["sh", "-c", script];
const bytes = (text: string) => new TextEncoder().encode(text);

vi.setConfig({ testTimeout: 60_000 });

/** Reads a command's output up to where it ends with that. */
async function until(stream: ReadableStream<Uint8Array>, end: string): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  while (!text.endsWith(end)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the output ended: ${text}`);
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return text;
}

function alive(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) Z /.test(readFileSync(path, "latin1"));
}

test("three clients at once → each its own output, input and status", async ({ hub }) => {
  const clients = await Promise.all([clientOf(hub), clientOf(hub), clientOf(hub)]);
  const results = await Promise.all(
    clients.map((client, i) =>
      client.run(sh(`cat; yes ${i} | head -c 300000; exit ${i}`), { input: `client ${i}\n` }),
    ),
  );
  for (const [i, { status, stdout }] of results.entries()) {
    expect(status).toBe(i);
    expect(stdout).toBe(`client ${i}\n${`${i}\n`.repeat(150_000)}`);
  }
  for (const client of clients) await client.close();
});

test("a client that goes → its commands are killed, another's go on", async ({ hub }) => {
  const [first, second] = [await clientOf(hub), await clientOf(hub)];
  const doomed = first.exec(sh("echo $$; sleep 1000"), { stdin: "none" });
  const spared = second.exec(sh("echo $$; cat"));
  const pids = [Number(await until(doomed.stdout, "\n")), Number(await until(spared.stdout, "\n"))];
  await first.close();
  await vi.waitUntil(() => !alive(pids[0] as number), 10_000);
  expect(alive(pids[1] as number)).toBe(true);
  await spared.stdin.getWriter().write(bytes("still here\n"));
  expect(await until(spared.stdout, "\n")).toBe("still here\n");
  expect(hub.running).toBe(1);
  await second.close();
  await vi.waitUntil(() => !alive(pids[1] as number), 10_000);
});

test("a persistent command whose client goes → another takes it over, with what it wrote meanwhile", async ({
  hub,
}) => {
  const first = await clientOf(hub);
  const script = "read a; echo first $a; read go; echo meanwhile; read b; echo second $b; exit 7";
  const command = first.exec(sh(script), { persist: "task" });
  await command.stdin.getWriter().write(bytes("one\n"));
  expect(await until(command.stdout, "\n")).toBe("first one\n");
  expect(hub.persistent).toEqual(["task"]);

  const second = await clientOf(hub);
  const early = second.attach("task");
  await expect(early.done).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_COMMAND" });
  const twin = second.exec(sh("true"), { persist: "task" });
  await expect(twin.done).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_COMMAND" });

  await first.close();
  await vi.waitUntil(() => hub.running === 0);
  const taken = second.attach("task");
  const writer = taken.stdin.getWriter();
  await writer.write(bytes("go\n"));
  expect(await until(taken.stdout, "\n")).toBe("meanwhile\n");
  await writer.write(bytes("two\n"));
  expect(await until(taken.stdout, "\n")).toBe("second two\n");
  void taken.stderr.cancel();
  void taken.stdout.cancel();
  expect((await taken.done).status).toBe(7);
  expect(hub.persistent).toEqual([]);
  await second.close();
});

test("a persistent command that ends with nobody there → who attaches gets all it wrote, and its end", async ({
  hub,
}) => {
  const first = await clientOf(hub);
  const script = "trap 'yes | head -c 100000; echo bad >&2; exit 5' USR1; echo $$; while :; do sleep 0.01; done"; // prettier-ignore
  const command = first.exec(sh(script), { persist: "task", stdin: "none" });
  const pid = Number(await until(command.stdout, "\n"));
  await first.close();
  const second = await clientOf(hub);
  await vi.waitUntil(() => hub.running === 0);
  process.kill(pid, "SIGUSR1");
  await vi.waitUntil(() => !alive(pid), 10_000);
  const taken = second.attach("task");
  const [stdout, stderr, { status }] = await Promise.all([
    new Response(taken.stdout).text(),
    new Response(taken.stderr).text(),
    taken.done,
  ]);
  expect([stdout.length, stderr, status]).toEqual([100_000, "bad\n", 5]);
  const again = second.attach("task");
  await expect(again.done).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_COMMAND" });
  await second.close();
});

test("input that was on its way when a client went → the next client's waits for its turn", async ({
  hub,
}) => {
  const first = await clientOf(hub);
  // It reads nothing until it is told to.
  const command = first.exec(sh("trap 'exec wc -c' USR1; echo $$; while :; do sleep 0.01; done"), {
    persist: "task",
  });
  await until(command.stdout, "\n");
  const writer = command.stdin.getWriter();
  let sent = 0;
  const flood = async (): Promise<void> => {
    for (; sent < 2 * WINDOW; sent += 4096) await writer.write(new Uint8Array(4096));
  };
  flood().catch(() => undefined);
  await vi.waitUntil(() => sent >= WINDOW, 10_000);
  await first.close();
  await vi.waitUntil(() => hub.running === 0);
  const second = await clientOf(hub);
  const taken = second.attach("task");
  const input = taken.stdin.getWriter();
  const more = (async () => {
    for (let i = 0; i < 2 * WINDOW; i += 4096) await input.write(new Uint8Array(4096));
    await input.close();
  })();
  taken.signal("SIGUSR1");
  const count = Number(await until(taken.stdout, "\n"));
  await more;
  void taken.stdout.cancel();
  void taken.stderr.cancel();
  expect((await taken.done).status).toBe(0);
  expect(count).toBeGreaterThanOrEqual(2 * WINDOW);
  expect(count).toBeLessThanOrEqual(3 * WINDOW + 65_536);
  await second.close();
});

test("an agent that dies → every client hears of it, and works again with the next one", async ({
  hub,
  agent,
}) => {
  const clients = [await clientOf(hub), await clientOf(hub)];
  const running = clients.map((client) => client.run(["sleep", "1000"]));
  await vi.waitUntil(() => hub.running === 2);
  await agent.kill();
  agent.start();
  for (const run of running)
    await expect(run).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_RESTARTED" });
  for (const client of clients) {
    expect((await client.run(["echo", "back"])).stdout).toBe("back\n");
    await client.close();
  }
});

test("a client that does not read → the others' commands run on", async ({ hub }) => {
  const [near, far] = await socketPair();
  hub.attach(far);
  near.pause();
  const slow = new FrameDecoder({
    onMarker: () => near.pause(),
    onFrame: () => undefined,
    onLost: () => undefined,
  });
  near.on("data", (chunk) => slow.push(chunk));
  near.resume();
  near.write(encodeMarker("a".repeat(16)));
  await vi.waitUntil(() => near.isPaused());
  for (let id = 1; id <= 8; id++)
    near.write(
      encodeFrames(FrameType.Request, id, 0, encodeFields([["op", "exec"], ["arg", "yes"]])), // prettier-ignore
    );
  await vi.waitUntil(() => hub.running === 8);
  await using client: AgentClient = await clientOf(hub);
  for (let i = 0; i < 5; i++) expect((await client.run(["echo", "x"])).stdout).toBe("x\n");
  near.destroy();
  await vi.waitUntil(() => hub.running === 0);
});

test("a client's second call that comes with its first request → the request is answered", async ({
  hub,
}) => {
  const [near, far] = await socketPair();
  hub.attach(far);
  let greeted = 0;
  let replies = 0;
  const decoder = new FrameDecoder({
    onMarker: () => greeted++,
    onFrame: ({ type }) => void (type === FrameType.Reply && replies++),
    onLost: () => undefined,
  });
  near.on("data", (chunk) => decoder.push(chunk));
  const call = encodeMarker("a".repeat(16));
  near.write(call);
  await vi.waitUntil(() => greeted > 0);
  const request = encodeFields([
    ["op", "exec"],
    ["arg", "true"],
    ["stdin", "none"],
  ]);
  near.write(Buffer.concat([call, encodeFrames(FrameType.Request, 1, 0, request)]));
  await vi.waitFor(() => expect(replies).toBe(1), 10_000);
  near.destroy();
});

/** A guest that answers as a test wants it to. */
class HostileAgent implements ByteChannel {
  sessions = 0;
  onRequest: (frame: Frame) => void = () => undefined;
  #listener: (bytes: Uint8Array) => void = () => undefined;
  readonly #decoder = new FrameDecoder({
    onFrame: (frame) => {
      if (frame.type === FrameType.Request) this.onRequest(frame);
    },
    onMarker: (nonce) => {
      this.sessions++;
      const hello = encodeFields([
        ["protocol", "1"],
        ["agent", "0"],
        ["window", String(WINDOW)],
      ]);
      this.send(encodeMarker(nonce));
      this.send(encodeFrames(FrameType.Hello, 0, 0, hello));
    },
    onLost: () => undefined,
  });

  send(data: Uint8Array): void {
    this.#listener(data);
  }

  async write(data: Uint8Array): Promise<void> {
    await Promise.resolve();
    this.#decoder.push(data);
  }

  onData(listener: (data: Uint8Array) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#listener = () => undefined;
  }
}

base.each<[string, (agent: HostileAgent, id: number) => void]>([
  [
    "more than the window",
    (agent, id) => agent.send(encodeFrames(FrameType.Data, id, 1, new Uint8Array(WINDOW + 1))),
  ],
  [
    "a frame for no request",
    (agent, id) => agent.send(encodeFrames(FrameType.Data, id + 1000, 1, new Uint8Array(1))),
  ],
  ["bytes that are no frames", (agent) => agent.send(new Uint8Array(100_000).fill(0xff))],
  ["a session of its own", (agent) => agent.send(encodeMarker("0".repeat(16)))],
  [
    "half a reply without end",
    (agent, id) => {
      const part = encodeFrames(FrameType.Reply, id, 0, new Uint8Array(30_000));
      part[6] = (part[6] ?? 0) | 0x80;
      for (let i = 0; i < 200; i++) agent.send(part);
    },
  ],
])(
  "a guest that answers with %s → a coded error for its client, and a hub that goes on",
  async (_, answer) => {
    const agent = new HostileAgent();
    const hub = new AgentHub(() => undefined);
    hub.use(agent);
    const client = await clientOf(hub);
    agent.onRequest = (frame) => answer(agent, frame.id);
    await expect(client.run(["true"])).rejects.toMatchObject({
      code: expect.stringMatching(/^QZ_HYPERVISOR_AGENT_(CLOSED|RESTARTED|PROTOCOL)$/),
    });
    const before = agent.sessions;
    await vi.waitUntil(() => agent.sessions > before || hub.state === "ready", 10_000);
    hub.close();
  },
);

base("a guest that floods credit → a client that does not read is told once a turn", async () => {
  const agent = new HostileAgent();
  const hub = new AgentHub(() => undefined);
  hub.use(agent);
  const [near, far] = await socketPair();
  hub.attach(far);
  near.write(encodeMarker("a".repeat(16)));
  await vi.waitUntil(() => far.bytesWritten > 0);
  agent.onRequest = ({ id }) => {
    const credit = encodeFrames(FrameType.Credit, id, 0, Uint8Array.of(0, 0, 0, 1));
    const credits = Buffer.concat(Array.from({ length: 1000 }, () => credit));
    for (let i = 0; i < 100; i++) agent.send(credits);
  };
  near.write(encodeFrames(FrameType.Request, 1, 0, encodeFields([["op", "exec"]])));
  await vi.waitUntil(() => hub.running === 1);
  expect(far.writableLength).toBeLessThan(10_000);
  near.destroy();
  hub.close();
});
