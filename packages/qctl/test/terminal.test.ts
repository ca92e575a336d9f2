import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type IPty, spawn } from "@lydell/node-pty";
import { createQueztlClient, type QueztlClient } from "@queztl/api/client";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { Terminal } from "@xterm/headless";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { root } from "./support/cli.ts";
import { type Guest, serveGuest } from "./support/guest.ts";

const home = mkdtempSync(join(tmpdir(), "qctl-terminal-"));
const PATIENCE = { timeout: 60_000, interval: 50 };
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
  for (const sitting of sittings) sitting.leave();
  guest.cut();
  await server.close();
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function until(met: () => boolean, problem: () => string): Promise<void> {
  for (const end = performance.now() + PATIENCE.timeout; !met();) {
    if (performance.now() > end) throw new Error(problem());
    await new Promise((resolve) => setTimeout(resolve, PATIENCE.interval));
  }
}

const sittings: Sitting[] = [];

/** A person at a terminal who has typed a command. */
class Sitting {
  readonly #pty: IPty;
  readonly #screen: Terminal;
  /** Everything that came, escape sequences and all. */
  raw = "";
  code: number | undefined;

  constructor(
    argv: readonly string[],
    { columns = 80, environment = {} }: { columns?: number; environment?: NodeJS.ProcessEnv } = {},
  ) {
    const main = join(root, "src/main.ts");
    sittings.push(this);
    this.#screen = new Terminal({ cols: columns, rows: 24, allowProposedApi: true });
    this.#pty = spawn(process.execPath, ["--conditions=@queztl/source", main, ...argv], {
      cols: columns,
      rows: 24,
      env: {
        PATH: process.env["PATH"],
        HOME: home,
        TERM: "xterm-256color",
        QUEZTL_HOME: home,
        QUEZTL_SERVER: server.url,
        QUEZTL_TOKEN: ADMIN_TOKEN,
        ...environment,
      },
    });
    this.#pty.onData((text) => {
      this.raw += text;
      this.#screen.write(text);
    });
    this.#pty.onExit(({ exitCode }) => (this.code = exitCode));
  }

  /** What the terminal shows, scrolled-away lines included. */
  get shown(): string {
    const { active } = this.#screen.buffer;
    let text = "";
    for (let at = 0; at < active.length; at += 1) {
      const line = active.getLine(at);
      text += `${line?.isWrapped === true ? "" : "\n"}${line?.translateToString(true) ?? ""}`;
    }
    return text.trim();
  }

  leave(): void {
    if (this.code === undefined) this.#pty.kill();
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  async sees(text: string | RegExp): Promise<void> {
    await until(
      () => (typeof text === "string" ? this.shown.includes(text) : text.test(this.shown)),
      () => `${String(text)} did not appear in\n${this.shown}`,
    );
  }

  async ends(): Promise<number> {
    await until(
      () => this.code !== undefined,
      () => `it did not end\n${this.shown}`,
    );
    return this.code ?? -1;
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
