import fc from "fast-check";
import { expect, test } from "vitest";
import { isQueztlError } from "@queztl/errors";
import type { ByteChannel } from "./channel.ts";
import { AgentClient } from "./client.ts";
import { FrameDecoder, FrameType, WINDOW, encodeFrames, encodeMarker } from "./frame.ts";
import type { Frame } from "./frame.ts";
import { encodeFields } from "./records.ts";
import type { Field } from "./records.ts";

const HELLO: readonly Field[] = [
  ["protocol", "1"],
  ["agent", "0"],
  ["window", String(WINDOW)],
];

/** A guest that answers as a test wants it to. */
class HostileAgent implements ByteChannel {
  readonly frames: Frame[] = [];
  /** What it answers to a request. */
  onRequest: (frame: Frame) => void = () => undefined;
  nonce = "";
  written = 0;
  readonly #decoder = new FrameDecoder({
    onFrame: (frame) => {
      this.frames.push(frame);
      if (frame.type === FrameType.Request) this.onRequest(frame);
    },
    onMarker: (nonce) => {
      this.nonce = nonce;
      this.send(encodeMarker(nonce));
      this.send(encodeFrames(FrameType.Hello, 0, 0, encodeFields(this.hello)));
    },
    onLost: () => undefined,
  });
  #listener: (bytes: Uint8Array) => void = () => undefined;

  readonly hello: readonly Field[];

  constructor(hello: readonly Field[] = HELLO) {
    this.hello = hello;
  }

  send(bytes: Uint8Array): void {
    this.#listener(bytes);
  }

  reply(id: number, fields: readonly Field[]): void {
    this.send(encodeFrames(FrameType.Reply, id, 0, encodeFields(fields)));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written += bytes.length;
    await Promise.resolve();
    this.#decoder.push(bytes);
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#listener = () => undefined;
  }
}

const protocol = { code: "QZ_HYPERVISOR_AGENT_PROTOCOL" };

test.each([
  ["another version", [["protocol", "2"], HELLO[2]], "QZ_HYPERVISOR_AGENT_VERSION"],
  ["no version", [["agent", "1"]], "QZ_HYPERVISOR_AGENT_PROTOCOL"],
  [
    "another window",
    [
      ["protocol", "1"],
      ["window", "1"],
    ],
    "QZ_HYPERVISOR_AGENT_PROTOCOL",
  ],
] as const)("a greeting with %s → %s", async (_, hello, code) => {
  const agent = new HostileAgent(hello as readonly Field[]);
  await expect(AgentClient.connect(agent)).rejects.toMatchObject({ code });
});

test("a marker with another session's nonce, then a greeting → not believed", async () => {
  const agent = new HostileAgent();
  const call = agent.write.bind(agent);
  agent.write = async (bytes) => {
    agent.send(encodeMarker("f".repeat(16)));
    agent.send(
      encodeFrames(FrameType.Hello, 0, 0, encodeFields([...HELLO.slice(1), ["protocol", "9"]])),
    );
    await call(bytes);
  };
  await using client = await AgentClient.connect(agent);
  expect(client.info.version).toBe("0");
});

test.each<[string, (agent: HostileAgent, id: number) => void]>([
  ["a reply for no request", (agent, id) => agent.reply(id + 1, [])],
  [
    "data for no request",
    (agent, id) => agent.send(encodeFrames(FrameType.Data, id + 1, 1, new Uint8Array(1))),
  ],
  [
    "a frame of an unknown type",
    (agent, id) => agent.send(encodeFrames(99, id, 1, new Uint8Array(1))),
  ],
  [
    "a request of its own",
    (agent, id) => agent.send(encodeFrames(FrameType.Request, id, 0, new Uint8Array(0))),
  ],
  [
    "data on stdin",
    (agent, id) => agent.send(encodeFrames(FrameType.Data, id, 0, new Uint8Array(1))),
  ],
  [
    "more than the window",
    (agent, id) => agent.send(encodeFrames(FrameType.Data, id, 1, new Uint8Array(WINDOW + 1))),
  ],
  [
    "data after the end",
    (agent, id) => {
      agent.send(encodeFrames(FrameType.End, id, 1, new Uint8Array(0)));
      agent.send(encodeFrames(FrameType.Data, id, 1, new Uint8Array(1)));
    },
  ],
  ["a reply without figures", (agent, id) => agent.reply(id, [["exit", "0"]])],
  [
    "a reply with odd figures",
    (agent, id) =>
      agent.reply(id, [
        ["exit", "-1"],
        ["pid", "1"],
      ]),
  ],
  [
    "a reply that is no message",
    (agent, id) => agent.send(encodeFrames(FrameType.Reply, id, 0, new Uint8Array(5).fill(255))),
  ],
  [
    "an endless reply",
    (agent, id) => {
      const whole = encodeFrames(FrameType.Reply, id, 0, new Uint8Array(5 * 1024 * 1024));
      agent.send(whole);
    },
  ],
  [
    "a credit that is none",
    (agent, id) => agent.send(encodeFrames(FrameType.Credit, id, 0, new Uint8Array(3))),
  ],
])("%s → QZ_HYPERVISOR_AGENT_PROTOCOL for all that runs", async (_, misbehave) => {
  const agent = new HostileAgent();
  const client = await AgentClient.connect(agent);
  agent.onRequest = ({ id }) => misbehave(agent, id);
  const command = client.exec(["x"]);
  await expect(command.done).rejects.toMatchObject(protocol);
  await expect(client.ping()).rejects.toMatchObject(protocol);
  expect(await client.closed).toMatchObject(protocol);
});

test("no answer → QZ_HYPERVISOR_AGENT_TIMEOUT; an endless number of such → the client refuses more", async () => {
  await using client = await AgentClient.connect(new HostileAgent(), { requestTimeoutMs: 30 });
  const pings = await Promise.allSettled(Array.from({ length: 1030 }, () => client.ping()));
  const codes = pings.map((ping) =>
    ping.status === "rejected" ? (ping.reason as { code: string }).code : "",
  );
  expect(codes[0]).toBe("QZ_HYPERVISOR_AGENT_TIMEOUT");
  expect(codes.at(-1)).toBe("QZ_HYPERVISOR_AGENT_LIMIT");
});

test("credit without end → not more than a window is sent ahead", async () => {
  const agent = new HostileAgent();
  await using client = await AgentClient.connect(agent);
  agent.onRequest = ({ id }) => {
    for (let i = 0; i < 100; i++)
      agent.send(encodeFrames(FrameType.Credit, id, 0, new Uint8Array(4).fill(255)));
  };
  const command = client.exec(["x"]);
  void command.stdin.getWriter().write(new Uint8Array(10 * WINDOW));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(agent.written).toBeLessThan(2 * WINDOW);
});

test.each(["../x", "/etc/passwd", "a/../../x", "", "a//b", ".", "a\0"])(
  "an entry called %j → QZ_HYPERVISOR_AGENT_PROTOCOL, nothing is handed on",
  async (path) => {
    const agent = new HostileAgent();
    await using client = await AgentClient.connect(agent);
    agent.onRequest = ({ id }) => {
      const entry = encodeFields([
        ["path", path],
        ["type", "file"],
      ]);
      agent.send(encodeFrames(FrameType.Entry, id, 1, entry));
    };
    await expect(client.copyOut("/x").next()).rejects.toMatchObject(protocol);
  },
);

test("an agent that starts anew again and again → every request ends, the client stays", async () => {
  const agent = new HostileAgent();
  await using client = await AgentClient.connect(agent);
  agent.onRequest = () => agent.send(encodeMarker("0".repeat(16)));
  for (let i = 0; i < 20; i++)
    await expect(client.ping()).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_RESTARTED" });
  agent.onRequest = ({ id }) => agent.reply(id, []);
  expect(await client.ping()).toBeGreaterThanOrEqual(0);
});

/** Frames that are nearly right, and bytes that are not. */
const noise = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .record({
      type: fc.nat(10),
      id: fc.integer({ min: 0, max: 6 }),
      stream: fc.nat(7),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 100 }),
        fc
          .array(
            fc.tuple(
              fc.constantFrom(
                "error",
                "exit",
                "pid",
                "signal",
                "path",
                "type",
                "wall-ns",
                "load",
                "disk",
              ),
              fc.constantFrom(
                "0",
                "1",
                "file",
                "symlink",
                "directory",
                "../..",
                "a/b",
                "x".repeat(5000),
              ),
            ),
            { maxLength: 12 },
          )
          .map(encodeFields),
      ),
    })
    .map(({ type, id, stream, payload }) => encodeFrames(type, id, stream, payload)),
  fc.constantFrom("0".repeat(16), "a".repeat(16)).map(encodeMarker),
);

test("anything a guest may send → results or coded errors, every promise settles", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(noise, { maxLength: 12 }),
      fc.integer({ min: 1, max: 400 }),
      async (chunks, cut) => {
        const agent = new HostileAgent();
        const options = { requestTimeoutMs: 30, timeoutMs: 500 };
        const client = await AgentClient.connect(agent, options);
        const command = client.exec(["x"]);
        const read = async () => {
          for await (const entry of client.copyOut("/x"))
            if (entry.type === "file") for await (const _ of entry.content) continue;
        };
        const work = [
          command.done,
          new Response(command.stdout).arrayBuffer(),
          client.ping(),
          client.stats(),
          read(),
          client.copyIn("/x", [{ type: "file", path: "a", content: new Uint8Array(100) }]),
        ];
        const settled = Promise.allSettled(work);
        await new Promise((resolve) => setTimeout(resolve, 0));
        const bytes = Buffer.concat(chunks);
        for (let at = 0; at < bytes.length; at += cut) agent.send(bytes.subarray(at, at + cut));
        await new Promise((resolve) => setTimeout(resolve, 0));
        await client.close();
        for (const result of await settled) {
          if (result.status === "fulfilled") continue;
          expect(isQueztlError(result.reason), String(result.reason)).toBe(true);
        }
      },
    ),
    { numRuns: 150 },
  );
});
