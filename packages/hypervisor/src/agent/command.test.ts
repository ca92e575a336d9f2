import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { expect, test as base } from "vitest";
import { AgentClient } from "./client.ts";
import { encodeFrames, encodeMarker } from "./frame.ts";
import { encodeFields } from "./records.ts";
import { agentFixtures } from "./testing/perl-agent.ts";
import type { AgentFixtures } from "./testing/perl-agent.ts";

const test = base.extend<AgentFixtures>(agentFixtures);

const sh = (script: string) => ["sh", "-c", script];
const text = (stream: ReadableStream<Uint8Array>) => new Response(stream).text();

/** Whether a process is there and no zombie. */
function alive(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  try {
    return existsSync(path) && !/\) Z /.test(readFileSync(path, "latin1"));
  } catch {
    return false;
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a command → what it wrote on both streams, its status and what it used", async ({
  client,
}) => {
  const result = await client.run(sh("echo out; echo err >&2; exit 3"));
  expect(result).toMatchObject({ stdout: "out\n", stderr: "err\n", status: 3, timedOut: false });
  expect(result.signal).toBeUndefined();
  const { usage } = result;
  expect(usage.wallSeconds).toBeGreaterThan(0);
  expect(usage.largestProcessBytes).toBeGreaterThan(100_000);
  expect(usage.source).toBe("rusage");
});

test("what a command computes, reads and writes → in its usage", async ({ client }) => {
  const script = "my $x = 'a' x 60_000_000; 1 while times < 0.1; print 'b' x 3_000_000";
  const { usage, stdoutBytes } = await client.run(["perl", "-e", script]);
  expect(stdoutBytes).toHaveLength(3_000_000);
  expect(usage.peakMemoryBytes).toBeGreaterThan(60_000_000);
  expect(usage.peakMemoryBytes).toBeLessThan(200_000_000);
  expect(usage.userSeconds + usage.systemSeconds).toBeGreaterThanOrEqual(0.09);
  expect(usage.writtenChars ?? 0).toBeGreaterThanOrEqual(3_000_000);
});

test("arguments, variables and folder of any bytes → as given", async ({ client }) => {
  const argument = "a b\n'\"$x \udcff ä \u{1f600}";
  const script = "print join '|', $ARGV[0], $ENV{ODD}, `pwd`, $ENV{HOME}, $ENV{USER}";
  const { stdoutBytes } = await client.run(["perl", "-e", script, argument], {
    env: { ODD: "x=y\n\udc80" },
    cwd: "/usr/bin",
  });
  const expected = Buffer.concat([
    Buffer.from("a b\n'\"$x "),
    Buffer.from([0xff]),
    Buffer.from(" ä \u{1f600}|x=y\n"),
    Buffer.from([0x80]),
    Buffer.from(`|/usr/bin\n|${userInfo().homedir}|${userInfo().username}`),
  ]);
  expect(Buffer.from(stdoutBytes)).toEqual(expected);
});

test("10 MB in and out → the same bytes, markers among them", async ({ client }) => {
  const input = new Uint8Array(10_000_000).map((_, i) => (i * 7919) >> 3);
  for (let at = 5; at < input.length; at += 70_001) input.set(encodeMarker("0123456789abcdef"), at);
  const { stdoutBytes, status } = await client.run(["cat"], { input });
  expect(status).toBe(0);
  expect(Buffer.compare(stdoutBytes, input)).toBe(0);
});

test("5 MB on stderr before anything on stdout → both, and neither holds the other up", async ({
  client,
}) => {
  const result = await client.run(["perl", "-e", "print STDERR 'e' x 5e6; print 'o' x 1e6"]);
  expect([result.stderrBytes.length, result.stdoutBytes.length]).toEqual([5e6, 1e6]);
});

test("a reader that stops → the command waits, others do not; it goes on when it is read", async ({
  client,
}) => {
  const slow = client.exec(["perl", "-e", "print 'x' x 2_000_000"], { stdin: "none" });
  for (let i = 0; i < 5; i++) expect((await client.run(["echo", "hi"])).stdout).toBe("hi\n");
  expect((await text(slow.stdout)).length).toBe(2_000_000);
  expect((await slow.done).status).toBe(0);
});

test("an interactive command → answers as its input comes; ends when that is closed", async ({
  client,
}) => {
  const command = client.exec(["perl", "-pe", "BEGIN { $| = 1 } $_ = uc"]);
  const writer = command.stdin.getWriter();
  const reader = command.stdout.getReader();
  for (const line of ["one\n", "two\n"]) {
    await writer.write(new TextEncoder().encode(line));
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(line.toUpperCase());
  }
  await writer.close();
  expect((await reader.read()).done).toBe(true);
  expect((await command.done).status).toBe(0);
});

test("a command that closes its input → the rest is thrown away", async ({ client }) => {
  const result = await client.run(sh("exec <&-; sleep 0.05; echo done"), {
    input: new Uint8Array(2e6),
  });
  expect(result.stdout).toBe("done\n");
});

test("a signal → the command gets it, and how it died is told", async ({ client }) => {
  const trap = client.exec(
    sh("trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done"),
  );
  const reader = trap.stdout.getReader();
  await reader.read();
  trap.signal("SIGUSR1");
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("caught\n");
  expect((await trap.done).status).toBe(7);
  const result = await client.run(sh("kill -SEGV $$"));
  expect(result).toMatchObject({ status: 139, signal: "SIGSEGV", timedOut: false });
  expect(() => trap.signal("SIGNONE" as "SIGHUP")).toThrow(/SIGNONE/);
});

test("a time-out → the whole tree is killed, also what left the session", async ({ client }) => {
  const script = "setsid sh -c 'echo $$; sleep 100' & sleep 101 & echo $!; sleep 102";
  const command = client.exec(sh(script), { timeoutMs: 300, stdin: "none" });
  const pids = (await text(command.stdout)).trim().split("\n").map(Number);
  expect(await command.done).toMatchObject({ status: 137, signal: "SIGKILL", timedOut: true });
  expect(pids).toHaveLength(2);
  await until(() => !pids.some(alive));
});

test("processes left running → kept by default, killed when asked for", async ({ client }) => {
  const script = "sleep 100 & echo $!";
  const killed = Number((await client.run(sh(script), { orphans: "kill" })).stdout);
  await until(() => !alive(killed));
  const kept = Number((await client.run(sh(script))).stdout);
  expect(alive(kept)).toBe(true);
  process.kill(kept, "SIGKILL");
});

test("an aborted command → QZ_HYPERVISOR_AGENT_CANCELLED, and it is killed", async ({ client }) => {
  const controller = new AbortController();
  const command = client.exec(sh("echo $$; sleep 100"), { signal: controller.signal });
  const { value } = await command.stdout.getReader().read();
  controller.abort();
  await expect(command.done).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_CANCELLED" });
  await until(() => !alive(Number(new TextDecoder().decode(value))));
  const before = client.run(["true"], { signal: AbortSignal.abort() });
  await expect(before).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_CANCELLED" });
});

test("a command that is not there, a folder, a user → QZ_HYPERVISOR_AGENT_COMMAND and why", async ({
  client,
}) => {
  const cases = [
    [["/no/such"], {}, "cannot start /no/such: No such file or directory"],
    [["true"], { cwd: "/no/such" }, "cannot work in /no/such: No such file or directory"],
    [["true"], { user: "nosuch" }, "there is no user nosuch"],
    [["/etc/passwd"], {}, "Permission denied"],
  ] as const;
  for (const [argv, options, reason] of cases) {
    await expect(client.run(argv, options)).rejects.toMatchObject({
      code: "QZ_HYPERVISOR_AGENT_COMMAND",
      message: expect.stringContaining(reason),
    });
  }
});

test("options that make no sense → QZ_HYPERVISOR_OPTIONS at once", async ({ client }) => {
  expect(() => client.exec([])).toThrow(/name the program/);
  expect(() => client.exec(["a\0b"])).toThrow(/NUL/);
  expect(() => client.exec(["a"], { env: { "A=B": "" } })).toThrow(/a name has no =/);
  expect(() => client.exec(["a"], { timeoutMs: 0 })).toThrow(/timeoutMs/);
  expect(() => client.exec(["a"], { tty: { columns: 0, rows: 1 } })).toThrow(/0x1/);
});

test("too much output → QZ_HYPERVISOR_AGENT_LIMIT, and it is killed", async ({ client }) => {
  const run = client.run(["yes"], { maxOutputBytes: 100_000 });
  await expect(run).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_LIMIT" });
  expect((await client.stats()).commands).toBe(0);
});

test("streams discarded or joined → nothing, or both in one", async ({ client }) => {
  const script = sh("echo a; echo b >&2");
  expect(await client.run(script, { stdout: "discard" })).toMatchObject({
    stdout: "",
    stderr: "b\n",
  });
  expect(await client.run(script, { stderr: "stdout" })).toMatchObject({
    stdout: "a\nb\n",
    stderr: "",
  });
});

test("a terminal → it is one, of that size, and can be resized", async ({ client }) => {
  const script = "test -t 0 && stty size; read line; stty size";
  const command = client.exec(sh(script), { tty: { columns: 91, rows: 33 } });
  const reader = command.stdout.getReader();
  let output = "";
  const more = async () => {
    const { done, value } = await reader.read();
    output += new TextDecoder().decode(value);
    return !done;
  };
  while (!output.includes("33 91")) await more();
  command.resize({ columns: 50, rows: 20 });
  await command.stdin.getWriter().write(new TextEncoder().encode("go\n"));
  while (await more());
  expect(output.replaceAll("\r", "")).toBe("33 91\ngo\n20 50\n");
  expect((await command.done).status).toBe(0);
});

test("another user → its ids and groups", async ({ client, skip }) => {
  if (process.getuid?.() !== 0) skip("only root can be another user");
  const { stdout } = await client.run(["id"], { user: "65534:12" });
  expect(stdout).toMatch(/^uid=65534\S* gid=12\S* groups=12\S*\n$/);
});

test("50 commands at once → each its own output", async ({ client }) => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      client.run(sh(`cat; echo ${i} >&2; exit ${i}`), { input: `${i}`.repeat(1000) }),
    ),
  );
  for (const [i, result] of results.entries()) {
    expect(result).toMatchObject({ stdout: `${i}`.repeat(1000), stderr: `${i}\n`, status: i });
  }
});

test("an agent killed -9 amid output, then started anew → what ran fails, later requests work", async ({
  agent,
  client,
}) => {
  const command = client.exec(["yes"], { stdin: "none" });
  await command.stdout.getReader().read();
  await agent.kill();
  agent.start();
  await expect(command.done).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_RESTARTED" });
  expect((await client.run(["echo", "again"])).stdout).toBe("again\n");
});

test("a host that vanished in the middle of a frame, then another → a session, and what ran is killed", async ({
  agent,
  client,
}) => {
  const left = client.exec(sh("echo $$; exec sleep 100"), { stdin: "none" });
  const { value } = await left.stdout.getReader().read();
  const request = encodeFrames(
    1,
    9,
    0,
    encodeFields([
      ["op", "exec"],
      ["arg", "false"],
    ]),
  );
  for (const cut of [3, 8, 20, request.length - 1]) {
    await agent.write(request.subarray(0, cut));
    const next = await AgentClient.connect(agent);
    expect((await next.run(["echo", "hello"])).stdout).toBe("hello\n");
  }
  await until(() => !alive(Number(new TextDecoder().decode(value))));
});

test("a persistent command → goes on without a host, and is attached to by name", async ({
  agent,
  client,
}) => {
  const script = "$| = 1; print \"up\\n\"; while (<>) { print 'got ', $_ }";
  const warm = client.exec(["perl", "-e", script], { persist: "warm" });
  await warm.stdout.getReader().read();
  const next = await AgentClient.connect(agent);
  const command = next.attach("warm");
  const writer = command.stdin.getWriter();
  await writer.write(new TextEncoder().encode("x\n"));
  const { value } = await command.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("got x\n");
  await writer.close();
  expect((await command.done).status).toBe(0);
  await expect(next.attach("warm").done).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_AGENT_COMMAND",
  });
});

test("stats and ping → figures of this machine", async ({ client }) => {
  const stats = await client.stats();
  expect(stats.memory["MemTotal"]).toBeGreaterThan(1e6);
  expect(stats.disks.some(({ path }) => path === "/")).toBe(true);
  expect(stats.uptimeSeconds).toBeGreaterThan(0);
  expect(await client.ping()).toBeGreaterThan(0);
});

test("an agent of a machine that is not its own → does not set it up or shut it down", async ({
  client,
}) => {
  const refused = { code: "QZ_HYPERVISOR_AGENT_REFUSED" };
  await expect(client.configure({ hostname: "x" })).rejects.toMatchObject(refused);
  await expect(client.configure({ hostname: "-x" })).rejects.toThrow(/letters, digits/);
  await expect(client.configure({ machineId: "1" })).rejects.toThrow(/32 hexadecimal/);
  await expect(client.shutdown("power-off")).rejects.toMatchObject(refused);
});

test("nobody answers → QZ_HYPERVISOR_AGENT_UNAVAILABLE", async () => {
  const silent = { write: () => undefined, onData: () => undefined, close: () => undefined };
  await expect(AgentClient.connect(silent, { timeoutMs: 20 })).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_AGENT_UNAVAILABLE",
  });
});

test("a closed client → QZ_HYPERVISOR_AGENT_CLOSED", async ({ client }) => {
  const command = client.exec(["sleep", "100"]);
  await client.close();
  const closed = { code: "QZ_HYPERVISOR_AGENT_CLOSED" };
  await expect(command.done).rejects.toMatchObject(closed);
  await expect(client.run(["true"])).rejects.toMatchObject(closed);
  expect(await client.closed).toMatchObject(closed);
});
