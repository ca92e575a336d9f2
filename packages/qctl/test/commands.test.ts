import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createQueztlClient, type QueztlClient } from "@queztl/api/client";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { qctl, temporaryHome } from "./support/cli.ts";
import { type Guest, serveGuest } from "./support/guest.ts";

let server: TestServer;
let client: QueztlClient;
let guest: Guest;
const home = temporaryHome();

beforeAll(async () => {
  server = await startTestServer(createFakeServices());
  client = createQueztlClient({ url: server.url, token: ADMIN_TOKEN });
  guest = serveGuest(server.server);
  vi.stubEnv("QUEZTL_HOME", home.path);
  for (const name of ["QUEZTL_SERVER", "QUEZTL_TOKEN", "QUEZTL_CONTEXT", "FORCE_COLOR"]) {
    vi.stubEnv(name, undefined);
  }
  await qctl("config", "set", "test", "--server", server.url, "--token", ADMIN_TOKEN);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.close();
  home.remove();
});

let made = 0;
let vm = "";
beforeEach(async () => {
  made += 1;
  vm = `vm-of-test-${made}`;
  await qctl("vm", "create", vm, "--cpu", "1", "--memory", "512");
});

test("vm create by size → what was made on stdout, what to do next on stderr", async () => {
  const flags = ["--cpu", "2", "--memory", "1.5G", "--port", "8080:80", "--label", "role=web"];
  const { stdout, stderr, code } = await qctl("vm", "create", "web", ...flags);
  expect(code).toBe(0);
  expect(stdout).toContain("2 CPU, 1.5 GiB memory");
  expect(stdout).toContain("127.0.0.1:8080→80");
  expect(stdout).toContain("role=web");
  expect(stderr).toBe("enter it with `qctl vm shell web`\n");
});

test.each([
  ["no size", [], "--purpose"],
  ["a wrong port", ["--purpose", "x", "--port", "99999"], "99999"],
  ["a wrong size", ["--cpu", "1", "--memory", "lots"], "--memory"],
  ["a wrong label", ["--purpose", "x", "--label", "role"], "KEY=VALUE"],
  ["a flag that there is not", ["--colour", "red"], "--colour"],
  ["a processor too few", ["--cpu", "0", "--memory", "1G"], "--cpu"],
])("vm create with %s → exit 2, and a word on what is wrong", async (_, flags, named) => {
  const { stdout, stderr, code } = await qctl("vm", "create", "odd", ...flags);
  expect({ stdout, code }).toEqual({ stdout: "", code: 2 });
  expect(stderr).toContain(named);
  expect(stderr).not.toMatch(/\n {4}at /);
});

test("every output format of a list → a table, a wider one, the API's own answer, names", async () => {
  const text = await qctl("vm", "list");
  expect(text.stdout).toMatch(/^NAME +STATE +CPU +MEMORY +IMAGE/);
  const wide = await qctl("vm", "list", "-o", "wide");
  expect(wide.stdout).toMatch(/ENGINE.*PURPOSE.*ID/);
  const json = JSON.parse((await qctl("vm", "list", "-o", "json")).stdout);
  expect(json.items[0]).toMatchObject({ name: vm, resources: { memoryMib: 512 } });
  expect(parse((await qctl("vm", "ls", "--output=yaml")).stdout)).toEqual(json);
  const names = (await qctl("vm", "list", "-o", "name")).stdout.trimEnd().split("\n");
  expect(names).toEqual(json.items.map(({ name }: { name: string }) => name));
});

test("an empty list → nothing on stdout, a word on stderr, nothing at all with --quiet", async () => {
  const { stdout, stderr } = await qctl("vm", "list", "--state", "crashed");
  expect({ stdout, stderr }).toEqual({ stdout: "", stderr: expect.stringContaining("no VMs") });
  const quiet = await qctl("vm", "list", "--state", "crashed", "--quiet");
  expect(quiet).toEqual({ stdout: "", stderr: "", code: 0 });
});

test("a list longer than a page → all of it; --limit cuts it and says so", async () => {
  const all = JSON.parse((await qctl("vm", "list", "-o", "json")).stdout);
  const some = await qctl("vm", "list", "--limit", "1", "-o", "json");
  expect(JSON.parse(some.stdout).items).toHaveLength(1);
  expect(some.stderr).toContain("--limit");
  expect(all.items.length).toBeGreaterThan(1);
});

test("the ways of a VM: pause, resume, reset, stop, start, destroy → each state in a line", async () => {
  expect((await qctl("vm", "pause", vm)).stdout).toBe(`${vm} paused\n`);
  expect((await qctl("vm", "resume", vm)).stdout).toBe(`${vm} running\n`);
  expect((await qctl("vm", "reset", vm)).stdout).toBe(`${vm} running\n`);
  expect((await qctl("vm", "stop", vm, "--grace", "5s")).stdout).toBe(`${vm} stopped\n`);
  expect((await qctl("vm", "stop", vm)).code).toBe(5);
  expect(JSON.parse((await qctl("vm", "start", vm, "-o", "json")).stdout).state).toBe("running");
  expect((await qctl("vm", "destroy", vm, "--yes")).code).toBe(5);
  expect((await qctl("vm", "rm", vm, "-f", "-y")).stdout).toBe(`${vm} destroyed\n`);
  expect((await qctl("vm", "get", vm)).code).toBe(3);
});

test("several VMs, one of which there is not → the others are done, its exit code stays", async () => {
  const { stdout, stderr, code } = await qctl("vm", "stop", "nowhere", vm);
  expect(stdout).toBe(`${vm} stopped\n`);
  expect(stderr).toContain("nowhere");
  expect(code).toBe(3);
});

test("destroying without --yes where nobody can be asked → nothing happens, exit 2", async () => {
  const { stderr, code } = await qctl("vm", "destroy", vm, "--force");
  expect(code).toBe(2);
  expect(stderr).toContain("--yes");
  expect((await qctl("vm", "get", vm, "-o", "name")).stdout).toBe(`${vm}\n`);
});

test("snapshot, snapshots, restore, remove-snapshot, fork", async () => {
  expect((await qctl("vm", "snapshot", vm, `${vm}-s`, "-o", "name")).stdout).toBe(`${vm}-s\n`);
  expect((await qctl("vm", "snapshots", vm, "-o", "name")).stdout).toBe(`${vm}-s\n`);
  expect((await qctl("vm", "restore", vm, `${vm}-s`, "--yes")).code).toBe(0);
  expect((await qctl("vm", "restore", vm, "none", "--yes")).code).toBe(3);
  expect((await qctl("vm", "remove-snapshot", vm, `${vm}-s`, "--yes")).code).toBe(0);
  expect((await qctl("vm", "fork", vm, `${vm}-2`, "-o", "name")).stdout).toBe(`${vm}-2\n`);
});

test("vm exec → the program's output on both streams, and its exit status", async () => {
  guest.next = { command: ["sh", "-c", "echo out; echo err >&2; exit 7"], terminal: false };
  const { stdout, stderr, code } = await qctl("vm", "exec", vm, "true", "-r");
  expect({ stdout, stderr, code }).toEqual({ stdout: "out\n", stderr: "err\n", code: 7 });
  expect((await qctl("vm", "exec", "nowhere", "true")).code).toBe(255);
  expect((await qctl("vm", "exec", vm)).code).toBe(255);
});

test("vm exec -o json → what it wrote, collected", async () => {
  const { stdout } = await qctl("vm", "exec", vm, "-o", "json", "--", "echo", "-n", "hello");
  expect(JSON.parse(stdout)).toMatchObject({ exitCode: 0, stdout: "-n hello\n" });
});

test("vm exec over a broken connection → exit 255 and a word; it is not made twice", async () => {
  guest.next = { command: ["sleep", "5"], terminal: false };
  const before = guest.received.length;
  const running = qctl("vm", "exec", vm, "sleep", "5");
  await vi.waitFor(() => expect(guest.received.length).toBeGreaterThan(before), 5000);
  guest.cut();
  const { stderr, code } = await running;
  expect(code).toBe(255);
  expect(stderr).toContain("QZ_QCTL_CONSOLE_LOST");
});

test("vm cp of a file there and back, to standard output, and of an empty one", async () => {
  const path = join(home.path, "in.bin");
  const bytes = Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 7) % 128));
  writeFileSync(path, bytes);
  expect((await qctl("vm", "cp", path, `${vm}:/root/in.bin`)).code).toBe(0);
  const back = join(home.path, "deep/er/out.bin");
  expect((await qctl("vm", "cp", `${vm}:in.bin`, back)).code).toBe(0);
  expect(readFileSync(back)).toEqual(bytes);
  expect((await qctl("vm", "cp", `${vm}:/root/in.bin`, "-", "-q")).stdout).toBe(bytes.toString());
  writeFileSync(path, "");
  expect((await qctl("vm", "cp", path, `${vm}:/root/empty`)).code).toBe(0);
  expect((await qctl("vm", "cp", `${vm}:/root/empty`, back)).code).toBe(0);
  expect(readFileSync(back)).toHaveLength(0);
});

test("vm cp of a directory in → its files travel as a tar stream into the guest's tar", async () => {
  const site = join(home.path, "site");
  const there = join(home.path, "there");
  mkdirSync(join(site, "a b"), { recursive: true });
  writeFileSync(join(site, "a b/index.html"), "<h1>");
  mkdirSync(there);
  guest.next = { command: ["sh", "-c", `cd ${there} && tar xf -`], terminal: false };
  const { code, stderr } = await qctl("vm", "cp", site, `${vm}:/srv`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("copied") });
  expect(readFileSync(join(there, "a b/index.html"), "utf8")).toBe("<h1>");
  guest.next = {
    command: ["sh", "-c", "cat >/dev/null; echo no room >&2; exit 1"],
    terminal: false,
  };
  const failed = await qctl("vm", "cp", site, `${vm}:/srv`);
  expect(failed.code).toBe(7);
  expect(failed.stderr).toContain("no room");
});

test("vm cp of a directory out → its files, without what leads out of the directory", async () => {
  const guests = join(home.path, "guests");
  mkdirSync(join(guests, "deep"), { recursive: true });
  writeFileSync(join(guests, "deep/log.txt"), "line");
  // The fake's guest knows no directories: the copy is asked for itself.
  const { copyOut } = await import("../src/vm/copy.ts");
  guest.next = {
    command: [
      "sh",
      "-c",
      `cd ${guests} && tar cPf - deep ../../etc-passwd 2>/dev/null; tar cf - .`,
    ],
    terminal: false,
  };
  const exec = { mutate: async () => ({ exitCode: 0 }) };
  const openExec = { mutate: () => client.vm.openExec.mutate({ vm, command: ["tar"] }) };
  const here = join(home.path, "fetched");
  const options = { server: server.url, vm, here, there: "/guests" };
  const bytes = await copyOut({
    ...options,
    client: { ...client, vm: { exec, openExec } } as unknown as QueztlClient,
    signal: new AbortController().signal,
    onProgress: () => undefined,
  });
  expect(bytes).toBeGreaterThan(1000);
  expect(readFileSync(join(here, "deep/log.txt"), "utf8")).toBe("line");
});

test.each([
  ["two places here", "a", "b", 2],
  ["a file that there is not", "/nowhere/at/all", "VM:/x", 3],
  ["a file that there is not in the VM", "VM:/nowhere", "/tmp/qctl-never", 3],
])("vm cp with %s → a coded refusal", async (_, from, to, expected) => {
  const { code } = await qctl("vm", "cp", from.replace("VM", vm), to.replace("VM", vm));
  expect(code).toBe(expected);
});

test("logs → what the guest wrote; follows end with it", async () => {
  expect((await qctl("vm", "logs", vm)).stdout).toBe("queztl: ready\n");
  expect((await qctl("vm", "logs", vm, "--timestamps")).stdout).toMatch(/^2026-01-02T.* console /);
  expect(JSON.parse((await qctl("vm", "logs", vm, "-o", "json")).stdout).items).toHaveLength(1);
  const id = (await qctl("task", "submit", "count", "-o", "name")).stdout.trim();
  expect((await qctl("task", "logs", id, "-f")).stdout).toBe("0\n");
});

test("task submit --wait with a file → its result, and what is left in the directory asked for", async () => {
  const path = join(home.path, "notes.txt");
  writeFileSync(path, "one two three");
  const out = join(home.path, "results");
  const words = ["--file", path, "--data", '{"a":[1]}', "--wait", "-o", "json"];
  const { stdout, stderr, code } = await qctl("task", "submit", "count words", ...words);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ state: "succeeded", data: { a: [1] } });
  expect(stderr).toMatch(/run done[^]*succeeded/);
  const id = JSON.parse(stdout).id;
  // The fake's checksum is of nothing: what arrives is refused, and nothing is left of it.
  const files = await qctl("task", "files", id, "--out", out);
  expect(files.code).toBe(6);
  expect(files.stderr).toContain("QZ_QCTL_CHECKSUM_WRONG");
  expect((await qctl("task", "files", id)).stdout).toContain("count.txt");
});

test("task submit without --wait → its id alone on stdout", async () => {
  const { stdout, stderr } = await qctl("task", "submit", "count", "--", "wc", "-w");
  expect(stdout).toMatch(/^task-\d+\n$/);
  expect(stderr).toContain("task wait");
});

test("a task that goes on: --timeout → exit 8; cancelled while it is waited for → exit 7", async () => {
  const id = (
    await qctl("task", "submit", "sleep", "-o", "name", "--", "sleep", "9")
  ).stdout.trim();
  const late = await qctl("task", "wait", id, "--timeout", "300ms");
  expect(late.code).toBe(8);
  const waiting = qctl("task", "wait", id, "-o", "json");
  await client.task.cancel.mutate({ task: id });
  const { stdout, stderr, code } = await waiting;
  expect(code).toBe(7);
  expect(JSON.parse(stdout)).toMatchObject({ id, state: "cancelled" });
  expect(stderr).toContain("QZ_QCTL_TASK_FAILED");
  expect((await qctl("task", "cancel", id)).stdout).toBe(`${id} cancelled\n`);
  expect((await qctl("task", "retry", id)).stdout).toBe(`${id} queued\n`);
});

test.each([
  ["wrong JSON", ["--data", "{"]],
  ["a file of data that there is not", ["--data", "@/nowhere.json"]],
  ["a command given twice", ["--command", "ls", "--", "ls"]],
  ["a deadline that is none", ["--deadline", "soon"]],
  ["a file that is a directory", ["--file", "/"]],
])("task submit with %s → refused before anything is sent", async (_, words) => {
  const before = (await qctl("task", "list", "-o", "name")).stdout;
  const { code } = await qctl("task", "submit", "x", ...words);
  expect([2, 3]).toContain(code);
  expect((await qctl("task", "list", "-o", "name")).stdout).toBe(before);
});

test("the brain: status, knowledge, explain, optimize, forget, export and import", async () => {
  expect((await qctl("brain", "status")).stdout).toContain("Experiences");
  expect((await qctl("brain", "knowledge")).stderr).toContain("nothing is known yet");
  const id = (await qctl("task", "submit", "count", "-o", "name")).stdout.trim();
  const explained = await qctl("brain", "explain", id);
  expect(explained.stdout).toMatch(/90% that the memory is enough[^]*nothing is known yet/);
  expect(explained.stdout).toMatch(/Input +14 B/);
  expect((await qctl("brain", "explain", "--decision", `decision-${id}`, "-o", "wide")).code).toBe(
    0,
  );
  expect((await qctl("brain", "explain")).code).toBe(2);
  expect((await qctl("brain", "optimize", "--dry-run")).stdout).toBe("nothing to improve\n");
  expect((await qctl("brain", "forget", "--kind", "x", "--yes")).stdout).toBe("0 runs forgotten\n");
  expect((await qctl("brain", "forget", "--yes")).code).toBe(2);
  expect((await qctl("brain", "forget", "--all", "--kind", "x", "--yes")).code).toBe(2);
  const path = join(home.path, "knowledge.json");
  expect((await qctl("brain", "export", path)).code).toBe(0);
  expect(readFileSync(path, "utf8")).toBe("{}");
  expect((await qctl("brain", "export", "-")).stdout).toBe("{}");
  expect((await qctl("brain", "import", path)).code).toBe(0);
});

test("nodes: add, list, get, cordon, uncordon, drain, remove", async () => {
  const add = ["node", "add", "rack-2", "--cpu", "16", "--memory", "64G"];
  expect((await qctl(...add)).stdout).toContain("64 GiB");
  expect((await qctl(...add)).code).toBe(5);
  expect((await qctl("node", "list")).stdout).toMatch(/rack-2 +ready +0\/16/);
  expect((await qctl("node", "cordon", "rack-2")).stdout).toMatch(/State +cordoned/);
  expect((await qctl("node", "uncordon", "rack-2")).stdout).toMatch(/State +ready/);
  expect((await qctl("node", "drain", "rack-2", "--yes")).code).toBe(0);
  expect((await qctl("node", "get", "rack-2", "-o", "name")).stdout).toBe("rack-2\n");
  expect((await qctl("node", "remove", "rack-2", "--yes")).code).toBe(0);
  expect((await qctl("node", "get", "rack-2")).code).toBe(3);
});

test("images: list, get, build, import from a file, remove", async () => {
  expect((await qctl("image", "list")).stdout).toContain("debian-12 *");
  expect((await qctl("image", "get", "debian-12")).stdout).toContain("6.1.0");
  const built = await qctl("image", "build", "python", "--no-wait");
  expect(built.stdout).toContain("building 0%");
  expect((await qctl("image", "build", "other", "--timeout", "200ms")).code).toBe(8);
  const path = join(home.path, "rootfs.tar");
  writeFileSync(path, "an archive");
  expect((await qctl("image", "import", "own", path, "--no-wait")).code).toBe(0);
  expect((await qctl("image", "remove", "own", "--yes")).code).toBe(0);
});

test("settings: list, set with the value's kind, reset", async () => {
  expect((await qctl("setting", "list")).stdout).toContain("optimize.everySeconds");
  const set = await qctl("setting", "set", "optimize.everySeconds", "120", "-o", "json");
  expect(JSON.parse(set.stdout)).toMatchObject({ value: 120, source: "stored" });
  expect((await qctl("setting", "set", "nothing.such", "1")).code).toBe(3);
  const reset = await qctl("setting", "reset", "optimize.everySeconds");
  expect(reset.stdout).toMatch(/Value +60/);
});

test("tokens: a new one's secret alone on stdout; it works until it is revoked", async () => {
  const { stdout } = await qctl("token", "create", "ci", "--scope", "vm:read");
  const secret = stdout.trim();
  expect((await qctl("vm", "list", "--token", secret)).code).toBe(0);
  const forbidden = await qctl("vm", "stop", vm, "--token", secret);
  expect(forbidden.code).toBe(4);
  expect(forbidden.stderr).toContain("vm:write");
  const id = (await qctl("token", "list", "-o", "name")).stdout.split("\n")[0] ?? "";
  expect((await qctl("token", "revoke", id, "--yes")).code).toBe(0);
  expect((await qctl("vm", "list", "--token", secret)).code).toBe(4);
  expect((await qctl("token", "create", "x", "--scope", "everything")).code).toBe(2);
});

test("stats, status, vm top, doctor → of this server", async () => {
  expect((await qctl("stats")).stdout).toContain("version 0.0.0");
  expect((await qctl("status")).stdout).toMatch(/Server +http.* up/);
  expect((await qctl("vm", "top", "--once")).stdout).toMatch(/NAME +STATE +CPU/);
  const { items } = JSON.parse((await qctl("doctor", "-o", "json")).stdout) as {
    items: { check: string; state: string }[];
  };
  expect(items.find(({ check }) => check === "Server")).toMatchObject({ state: "ok" });
});

test("a server that is not there → exit 6 and what to do; status says down", async () => {
  const away = ["--server", "http://127.0.0.1:9", "--token", "x"];
  const { stderr, code } = await qctl("vm", "list", ...away);
  expect(code).toBe(6);
  expect(stderr).toContain("qctl up");
  const status = await qctl("status", ...away);
  expect(status.code).toBe(6);
  expect(status.stdout).toMatch(/127\.0\.0\.1:9 down/);
});

test("an error with -o json → one JSON object on stderr, nothing on stdout", async () => {
  const { stdout, stderr, code } = await qctl("vm", "get", "nowhere", "-o", "json");
  expect({ stdout, code }).toEqual({ stdout: "", code: 3 });
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "QZ_FAKE_NOT_FOUND", exitCode: 3 } });
});

test("an error → one line and a hint; its stack with --debug only", async () => {
  expect((await qctl("vm", "get", "nowhere")).stderr).not.toMatch(/\n {4}at /);
  expect((await qctl("vm", "get", "nowhere", "--debug")).stderr).toMatch(/\n {4}at /);
});

test("events → those that happen, one object a line, until --timeout", async () => {
  const following = qctl("events", "--topic", "vm", "-o", "json", "--timeout", "2s");
  await new Promise((resolve) => setTimeout(resolve, 700));
  await client.vm.pause.mutate({ vm });
  const { stdout, code } = await following;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ topic: "vm", type: "vm.paused" });
});

test("completion → the server's things, contexts, flags and their values, files", async () => {
  expect((await qctl("complete", "--", "vm", "stop", vm.slice(0, -1))).stdout).toContain(vm);
  expect((await qctl("complete", "--", "config", "use", "")).stdout).toContain("test");
  expect((await qctl("complete", "--", "vm", "list", "--state", "")).stdout).toContain("running");
  expect((await qctl("complete", "--", "task", "submit", "x", "--file", "")).stdout).toBe(
    ":files\n",
  );
  for (const shell of ["bash", "zsh", "fish"]) {
    expect((await qctl("completion", shell)).stdout).toContain("qctl complete --");
  }
});

test("contexts: a file of one's own only, masked tokens, use, remove", async () => {
  expect(statSync(join(home.path, "contexts.json")).mode & 0o777).toBe(0o600);
  const set = await qctl(
    "config",
    "set",
    "other",
    "--server",
    "http://localhost:1",
    "--token",
    "abcdefgh",
  );
  expect(set.code).toBe(0);
  const shown = (await qctl("config", "view")).stdout;
  expect(shown).toContain("test *");
  expect(shown).not.toContain("abcdefgh");
  expect((await qctl("config", "view", "--secrets", "-o", "json")).stdout).toContain("abcdefgh");
  expect((await qctl("config", "use", "nowhere")).code).toBe(3);
  expect((await qctl("config", "use", "other")).code).toBe(0);
  expect((await qctl("vm", "list")).code).toBe(6);
  expect((await qctl("vm", "list", "--context", "test")).code).toBe(0);
  expect((await qctl("config", "use", "test")).code).toBe(0);
  expect((await qctl("config", "set", "other", "--remove")).code).toBe(0);
  expect((await qctl("config", "set", "bad name", "--server", "http://x")).code).toBe(2);
  expect((await qctl("config", "set", "bad", "--server", "ftp://x")).code).toBe(2);
});

test("another server by --server → the context's token does not go there", async () => {
  const { code, stderr } = await qctl("vm", "list", "--server", "http://127.0.0.1:9");
  expect(code).toBe(4);
  expect(stderr).toContain("QZ_QCTL_TOKEN_UNKNOWN");
});

test("a word that is missing → which one, and where help is, without a word on flags", async () => {
  const { stderr, code } = await qctl("vm", "create");
  expect(code).toBe(2);
  expect(stderr).toMatch(/^qctl: what is missing: name +Its name, also its host name\n→ `qctl vm/);
  expect(stderr).not.toContain("Note:");
});
