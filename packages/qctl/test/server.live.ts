import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { spawn } from "@lydell/node-pty";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { qctl, root, temporaryHome } from "./support/cli.ts";

const home = temporaryHome();

beforeAll(async () => {
  vi.stubEnv("QUEZTL_HOME", home.path);
  // Images are made once a computer.
  const images = join(homedir(), ".queztl/images");
  if (existsSync(images)) symlinkSync(images, join(home.path, "images"));
  const up = await qctl("up", "--port", String(await freePort()), "--timeout", "10m");
  if (up.code !== 0) throw new Error(up.stderr);
});
afterAll(async () => {
  for (const vm of (await qctl("vm", "list", "-o", "name")).stdout.split("\n").filter(Boolean)) {
    await qctl("vm", "destroy", vm, "--force", "--yes");
  }
  const down = await qctl("down");
  if (down.code !== 0) throw new Error(down.stderr);
  vi.unstubAllEnvs();
  home.remove();
});

test("a server that runs → up attaches, status tells, doctor finds nothing broken", async () => {
  expect((await qctl("up")).code).toBe(0);
  expect((await qctl("status", "-o", "json")).stdout).toContain('"state": "up"');
  expect((await qctl("doctor")).code).toBe(0);
  expect((await qctl("stats")).stdout).toContain("embedded");
  expect((await qctl("node", "get", "local")).stdout).toContain("emulator");
  expect((await qctl("image", "list", "-o", "name")).stdout).toContain("base\n");
  expect((await qctl("setting", "list", "optimize")).stdout).toContain("optimize.everySeconds");
  expect((await qctl("config", "view")).stdout).toContain("local *");
});

test("a VM from its making to its end: exec, files both ways, snapshot, fork, top, logs", async () => {
  const made = await qctl("vm", "create", "web", "--cpu", "1", "--memory", "256", "--port", "80");
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/State +running/) });
  const uname = await qctl("vm", "exec", "web", "uname", "-sm");
  expect(uname).toMatchObject({ code: 0, stdout: "Linux x86_64\n" });
  expect((await qctl("vm", "exec", "web", "--", "sh", "-c", "exit 7")).code).toBe(7);
  const collected = await qctl(
    "vm",
    "exec",
    "web",
    "-o",
    "json",
    "--",
    "sh",
    "-c",
    "echo a; echo b >&2",
  );
  expect(JSON.parse(collected.stdout)).toMatchObject({ stdout: "a\n", stderr: "b\n", exitCode: 0 });

  const path = join(home.path, "bytes");
  const bytes = Buffer.from(Array.from({ length: 1_500_000 }, (_, at) => (at * 31) & 255));
  writeFileSync(path, bytes);
  expect((await qctl("vm", "cp", path, "web:/root/bytes")).code).toBe(0);
  expect((await qctl("vm", "cp", "web:bytes", `${path}.back`)).code).toBe(0);
  expect(readFileSync(`${path}.back`).equals(bytes)).toBe(true);
  const folder = join(home.path, "site");
  mkdirSync(join(folder, "a b"), { recursive: true });
  writeFileSync(join(folder, "a b/x"), "x");
  expect((await qctl("vm", "cp", folder, "web:/srv/site")).code).toBe(0);
  expect((await qctl("vm", "cp", "web:/srv/site", `${folder}-back`)).code).toBe(0);
  expect(readFileSync(join(`${folder}-back`, "a b/x"), "utf8")).toBe("x");

  expect((await qctl("vm", "snapshot", "web", "before", "-o", "name")).stdout).toBe("before\n");
  expect((await qctl("vm", "exec", "web", "rm", "/root/bytes")).code).toBe(0);
  expect((await qctl("vm", "restore", "web", "before", "--yes")).code).toBe(0);
  expect((await qctl("vm", "exec", "web", "ls", "/root")).stdout).toContain("bytes");
  expect((await qctl("vm", "fork", "web", "web-2", "-o", "name")).stdout).toBe("web-2\n");
  expect((await qctl("vm", "exec", "web-2", "hostname")).stdout).toBe("web-2\n");
  expect((await qctl("vm", "exec", "web-2", "ls", "/root")).stdout).toContain("bytes");
  expect((await qctl("vm", "pause", "web-2")).stdout).toBe("web-2 paused\n");
  expect((await qctl("vm", "resume", "web-2")).stdout).toBe("web-2 running\n");
  expect((await qctl("vm", "stop", "web-2", "--now")).stdout).toBe("web-2 stopped\n");
  expect((await qctl("vm", "destroy", "web-2", "--yes")).stdout).toBe("web-2 destroyed\n");
  expect((await qctl("vm", "remove-snapshot", "web", "before", "--yes")).code).toBe(0);
  expect((await qctl("vm", "snapshots", "web")).stdout).toBe("");
  expect((await qctl("vm", "top", "--once")).stdout).toMatch(/^web +running +\d+%/m);
  expect((await qctl("vm", "logs", "web")).code).toBe(0);
});

test("a console in a pseudo-terminal → the guest's shell, left with the detach key", async () => {
  const words = ["--conditions=@queztl/source", join(root, "src/main.ts"), "vm", "console", "web"];
  const terminal = spawn(process.execPath, words, { env: { ...process.env, TERM: "xterm" } });
  let shown = "";
  let code: number | undefined;
  terminal.onData((text) => (shown += text));
  terminal.onExit(({ exitCode }) => (code = exitCode));
  const patience = { timeout: 120_000, interval: 100 };
  await vi.waitFor(() => expect(shown).toContain("ctrl-] leaves it"), patience);
  terminal.write("\recho $((6*7))-answers\r");
  await vi.waitFor(() => expect(shown).toContain("42-answers"), patience);
  terminal.write("\u001d");
  await vi.waitFor(() => expect(code).toBe(0), patience);
});

test("a task: submitted, waited for, its output, its files, its reasons, its lessons", async () => {
  const path = join(home.path, "notes.txt");
  writeFileSync(path, "one two three\n");
  const words = ["--file", path, "--command", "wc -w < notes.txt", "--wait"];
  const done = await qctl("task", "submit", "Count words", ...words);
  expect(done).toMatchObject({ code: 0, stdout: "3\n" });
  const id = (await qctl("task", "list", "-o", "name")).stdout.split("\n")[0] ?? "";
  expect((await qctl("task", "logs", id)).stdout).toContain("3\n");
  expect((await qctl("task", "logs", id, "-f", "--stream", "stdout")).stdout).toBe("3\n");
  expect((await qctl("task", "get", id, "-o", "wide")).stdout).toMatch(/✓ run/);
  expect((await qctl("brain", "explain", id, "-o", "wide")).code).toBe(0);
  expect((await qctl("brain", "knowledge")).stdout).toMatch(/\b1\b/);
  const failed = await qctl("task", "submit", "fail", "--attempts", "1", "--wait", "--", "false");
  expect(failed.code).toBe(7);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
