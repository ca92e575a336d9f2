import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createQueztlClient, type QueztlClient } from "@queztl/api/client";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Guest, serveGuest } from "./support/guest.ts";
import {
  leaveAll,
  PATIENCE,
  Sitting as SittingAt,
  type SittingOptions,
} from "./support/sitting.ts";

const home = mkdtempSync(join(tmpdir(), "qctl-terminal-"));
let server: TestServer;
let client: QueztlClient;
let guest: Guest;

beforeAll(async () => {
  server = await startTestServer(createFakeServices());
  guest = serveGuest(server.server);
  client = createQueztlClient({ url: server.url, token: ADMIN_TOKEN });
  await client.vm.create.mutate({
    name: "web",
    cpu: 1,
    memoryMib: 512,
    ports: [{ guest: 80, host: 8080 }],
  });
});
afterAll(async () => {
  leaveAll();
  guest.cut();
  await server.close();
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

class Sitting extends SittingAt {
  constructor(argv: readonly string[], { environment = {}, ...options }: SittingOptions = {}) {
    super(argv, {
      ...options,
      environment: {
        HOME: home,
        QUEZTL_HOME: home,
        QUEZTL_SERVER: server.url,
        QUEZTL_TOKEN: ADMIN_TOKEN,
        ...environment,
      },
    });
  }
}

test(
  "a list at 40 columns → no line is longer, name and state are there; colours, none with NO_COLOR",
  { timeout: 120_000 },
  async () => {
    const narrow = new Sitting(["vm", "list"], { columns: 40 });
    const plain = new Sitting(["vm", "list", "-o", "wide"], { environment: { NO_COLOR: "1" } });
    expect(await narrow.ends()).toBe(0);
    expect(narrow.shown).toMatch(/NAME +STATE[^]*web +running/);
    expect(narrow.shown.split("\n")).toHaveLength(2);
    expect(narrow.raw).toContain("\u001b[32mrunning");
    expect(await plain.ends()).toBe(0);
    expect(plain.shown.split("\n")).toHaveLength(2);
    expect(plain.raw).not.toContain("\u001b[");
  },
);

test(
  "a console: raw keys, size and its changes, the guest's colours, ctrl-c for the guest, detach",
  { timeout: 120_000 },
  async () => {
    guest.received.length = 0;
    const script =
      'trap "echo interrupted" INT; stty -echo; echo ready; while :; do read -r line && echo "got $line $(stty size)"; done';
    guest.next = { command: ["bash", "-c", script], terminal: true };
    const sitting = new Sitting(["vm", "console", "web"]);
    await sitting.sees("ready");
    expect(sitting.shown).toContain("ctrl-] leaves it");
    sitting.resize(100, 30);
    await vi.waitFor(
      () => expect(guest.received).toContainEqual({ type: "resize", columns: 100, rows: 30 }),
      PATIENCE,
    );
    sitting.type("hello\r");
    await sitting.sees("got hello 30 100");
    sitting.type("\u0003");
    await sitting.sees("interrupted");
    sitting.type("\u001d");
    expect(await sitting.ends()).toBe(0);
    expect(sitting.shown).toContain("left web; it goes on");
    expect(guest.received.at(-1)).toEqual({ type: "detach" });
  },
);

test(
  "a console whose connection breaks → taken up again by itself",
  { timeout: 120_000 },
  async () => {
    guest.next = { command: ["bash", "-c", "echo here; cat"], terminal: true };
    const sitting = new Sitting(["vm", "console", "web", "--detach-key", "ctrl-q"]);
    await sitting.sees("here");
    guest.cut();
    await sitting.sees(/the connection broke[^]*again at web[^]*here/);
    sitting.type("\u0011");
    expect(await sitting.ends()).toBe(0);
  },
);

test(
  "vm shell → a program in a terminal; its exit status is the command's",
  { timeout: 120_000 },
  async () => {
    guest.next = { command: ["bash", "--norc", "-i"], terminal: true };
    const sitting = new Sitting(["vm", "shell", "web"]);
    await sitting.sees(/[$#]$/);
    sitting.type("tty && exit 3\r");
    expect(await sitting.ends()).toBe(3);
    expect(sitting.shown).toMatch(/\/dev\/pts\/\d+/);
  },
);

test(
  "a question → asked; no leaves everything as it is, yes does it",
  { timeout: 120_000 },
  async () => {
    await client.vm.create.mutate({ name: "old", cpu: 1, memoryMib: 512, start: false });
    const no = new Sitting(["vm", "destroy", "old"]);
    await no.sees(/Destroy old.*\[y\/N\]/);
    no.type("\r");
    expect(await no.ends()).toBe(130);
    expect((await client.vm.get.query({ vm: "old" })).state).toBe("stopped");
    const yes = new Sitting(["vm", "destroy", "old"]);
    await yes.sees(/\[y\/N\]/);
    yes.type("y\r");
    expect(await yes.ends()).toBe(0);
  },
);

test(
  "waiting for a task → its steps live; ctrl-c leaves it running and says how to go on",
  { timeout: 120_000 },
  async () => {
    const { id } = await client.task.submit.mutate({
      description: "sleep",
      command: ["sleep", "9"],
    });
    const sitting = new Sitting(["task", "wait", id]);
    await sitting.sees(`${id} queued`);
    sitting.type("\u0003");
    expect(await sitting.ends()).toBe(130);
    expect(sitting.shown).toContain(`qctl task cancel ${id}`);
    expect((await client.task.get.query({ task: id })).state).toBe("queued");
  },
);

test("--watch → drawn again at each change, until ctrl-c", { timeout: 120_000 }, async () => {
  const sitting = new Sitting(["vm", "get", "web", "--watch"]);
  await sitting.sees(/State +running/);
  await client.vm.pause.mutate({ vm: "web" });
  await sitting.sees(/State +paused/);
  expect(sitting.shown).not.toContain("running");
  await client.vm.resume.mutate({ vm: "web" });
  sitting.type("\u0003");
  expect(await sitting.ends()).toBe(0);
});
