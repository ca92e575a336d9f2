import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "@lydell/node-pty";
import { expect, test, vi } from "vitest";
import { qctl, root, untyped } from "./support/cli.ts";
import { PATIENCE, Running } from "./support/live.ts";
import { liveServer } from "./support/live-server.ts";
import { Sitting } from "./support/sitting.ts";

const server = liveServer(["images"]);

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

test("tokens, contexts and settings → made, used, changed, taken back", async () => {
  const made = await qctl("token", "create", "reader", "--scope", "vm:read", "-q");
  const secret = made.stdout.trim();
  const url = `http://127.0.0.1:${server.port}`;
  const set = ["config", "set", "reader", "--server", url, "--token", secret];
  expect((await qctl(...set)).code).toBe(0);
  expect((await qctl("config", "use", "reader")).code).toBe(0);
  expect((await qctl("config", "view")).stdout).toContain("reader *");
  expect((await qctl("vm", "list")).code).toBe(0);
  const refused = await qctl("vm", "create", "mine", "--cpu", "1", "--memory", "256");
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect((await qctl("config", "use", "local")).code).toBe(0);
  const tokens = JSON.parse((await qctl("token", "list", "-o", "json")).stdout) as {
    items: { id: string; name: string }[];
  };
  const { id = "" } = tokens.items.find(({ name }) => name === "reader") ?? {};
  expect((await qctl("token", "revoke", id, "--yes")).code).toBe(0);
  expect((await qctl("vm", "list", "--context", "reader")).code).toBe(4);
  expect((await qctl("config", "set", "reader", "--remove")).code).toBe(0);

  const changed = await qctl("setting", "set", "optimize.everySeconds", "120");
  expect(changed.stdout).toMatch(/Value +120/);
  expect((await qctl("setting", "reset", "optimize.everySeconds")).stdout).not.toMatch(/ 120/);
});

test("nodes: another one is added, cordoned, drained, removed; the local one stays", async () => {
  const added = await qctl("node", "add", "rack-2", "--cpu", "4", "--memory", "8G");
  expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining("8 GiB") });
  expect((await qctl("node", "list")).stdout).toMatch(/rack-2 +unreachable/);
  expect((await qctl("node", "drain", "rack-2", "--yes")).code).toBe(0);
  expect((await qctl("node", "remove", "rack-2", "--yes")).code).toBe(0);
  expect((await qctl("node", "get", "rack-2")).code).toBe(3);
  expect((await qctl("node", "remove", "local", "--yes")).code).toBe(5);
  expect((await qctl("node", "cordon", "local")).code).toBe(0);
  const refused = await qctl("vm", "create", "nowhere", "--cpu", "1", "--memory", "256");
  expect(refused.code).not.toBe(0);
  expect((await qctl("vm", "get", "nowhere")).code).toBe(3);
  expect((await qctl("node", "uncordon", "local")).code).toBe(0);
});

test("an image: imported from a root file system's archive, listed, removed", async () => {
  const folder = join(server.home, "rootfs");
  mkdirSync(join(folder, "etc"), { recursive: true });
  writeFileSync(join(folder, "etc/hostname"), "tiny\n");
  const tar = join(server.home, "rootfs.tar");
  execFileSync("tar", ["cf", tar, "-C", folder, "."]);
  const name = `qctl-live-${process.pid}`;
  expect(await qctl("image", "import", name, tar)).toMatchObject({ code: 0 });
  expect((await qctl("image", "get", name)).stdout).toMatch(/State +ready/);
  expect((await qctl("image", "list", "-o", "name")).stdout).toContain(`${name}\n`);
  expect((await qctl("image", "import", name, tar)).code).toBe(5);
  expect((await qctl("image", "remove", name, "--yes")).code).toBe(0);
  expect((await qctl("image", "get", name)).code).toBe(3);
  writeFileSync(tar, "no archive");
  expect((await qctl("image", "import", name, tar)).code).toBe(7);
  expect((await qctl("image", "remove", name, "--yes")).code).toBe(0);
});

test("a VM from its making to its end: exec, files both ways, snapshot, fork, top, logs", async () => {
  const made = await qctl("vm", "create", "web", "--cpu", "1", "--memory", "256", "--port", "80");
  expect(made.code, made.stderr).toBe(0);
  expect(made.stdout).toMatch(/State +running/);
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

  const service = "sleep 1000 & echo $!";
  const pid = (await qctl("vm", "exec", "web", "--", "sh", "-c", service)).stdout.trim();
  const comm = `/proc/${pid}/comm`;
  expect((await qctl("vm", "exec", "web", "cat", comm)).stdout).toBe("sleep\n");
  const missing = await qctl("vm", "exec", "web", "no-such-program");
  expect(missing).toMatchObject({ code: 127, stderr: expect.stringContaining("qctl image list") });

  const path = join(server.home, "bytes");
  const bytes = Buffer.from(Array.from({ length: 1_500_000 }, (_, at) => (at * 31) & 255));
  writeFileSync(path, bytes);
  expect((await qctl("vm", "cp", path, "web:/root/bytes")).code).toBe(0);
  expect((await qctl("vm", "cp", "web:bytes", `${path}.back`)).code).toBe(0);
  expect(readFileSync(`${path}.back`).equals(bytes)).toBe(true);
  const folder = join(server.home, "site");
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
  // It began as a copy of a template, which has said all that a boot says but, at times, the shell's first words.
  expect((await qctl("vm", "logs", "web", "--tail", "9")).stdout).toMatch(
    /^VM web: 1 CPU, 256 MiB, base\n/,
  );
  const listed = JSON.parse((await qctl("vm", "list", "-o", "json")).stdout) as {
    items: { name: string; state: string }[];
  };
  expect(listed.items.map(({ name, state }) => [name, state])).toEqual([["web", "running"]]);
  expect((await qctl("vm", "get", "web", "-o", "yaml")).stdout).toContain("memoryMib: 256");
});

test("a shell with its input from a pipe → what it says, and its exit status", async () => {
  const shell = new Running("vm", "shell", "web");
  shell.type("cd /srv/site && ls\nexit 5\n");
  expect(await shell.ends()).toBe(5);
  expect(shell.stdout).toBe("a b\n");
});

test("what a VM writes to its console → its log, whole and followed", async () => {
  const write = (text: string) =>
    qctl("vm", "exec", "web", "--", "sh", "-c", `echo ${text} > /dev/console`);
  expect((await write("first-words")).code).toBe(0);
  const following = new Running("vm", "logs", "web", "-f");
  await following.writes("first-words");
  const later = new Running("vm", "logs", "web", "-f", "--tail", "0", "-o", "json");
  // The stream says nothing when it begins: what is to be seen is written until it is.
  await vi.waitFor(async () => {
    await write("later-words");
    expect(later.stdout).toContain("later-words");
  }, PATIENCE);
  await following.writes("later-words");
  expect(later.stdout).not.toContain("first-words");
  expect(JSON.parse(later.stdout.split("\n")[0] ?? "")).toMatchObject({ stream: "console" });
  for (const each of [following, later]) {
    each.interrupt();
    expect(await each.ends()).toBe(0);
  }
  const log = (await qctl("vm", "logs", "web", "--tail", "5")).stdout;
  expect(log).toMatch(/^VM web: [^]*first-words[^]*later-words/);
});

const patience = PATIENCE.timeout;
const sit = (argv: readonly string[], columns = 80) => {
  // The server's home is in it by now. Where CI is set, nothing is drawn.
  const { CI: _, ...environment } = process.env;
  return new Sitting(argv, { columns, patience, environment });
};

test("a console in a pseudo-terminal → the guest's shell, the window's size, what was shown before, the detach key", async () => {
  const first = sit(["vm", "console", "web"]);
  await first.sees("ctrl-] leaves it");
  first.type("\recho $((6*7))-answers\r");
  await first.sees("42-answers");
  first.resize(101, 33);
  await vi.waitFor(() => {
    first.type("stty size\r");
    expect(first.shown).toContain("33 101");
  }, PATIENCE);
  // The shell itself takes the key for a character as long as it reads a line.
  first.type("echo wai''ting; sleep 1000\r");
  await first.sees("waiting");
  first.type("\u0003");
  first.type("echo after-$((1+1))\r");
  await first.sees("after-2");
  first.type("\u001d");
  expect(await first.ends()).toBe(0);
  expect(first.shown).toContain("left web; it goes on");

  const second = sit(["vm", "console", "web", "--detach-key", "ctrl-q"]);
  await second.sees("42-answers");
  second.type("\u0011");
  expect(await second.ends()).toBe(0);

  const third = sit(["vm", "console", "web", "--scrollback", "0"]);
  await third.sees("ctrl-] leaves it");
  third.type("\recho here-$((2+1))\r");
  await third.sees("here-3");
  expect(third.shown).not.toContain("42-answers");
  third.type("\u001d");
  expect(await third.ends()).toBe(0);
});

test("a shell in a pseudo-terminal → a terminal of the window's size, its exit status", async () => {
  const shell = sit(["vm", "shell", "web"], 90);
  await shell.sees("#");
  shell.type("stty size; tty\r");
  await shell.sees("24 90");
  shell.type("exit 3\r");
  expect(await shell.ends()).toBe(3);
  expect(shell.shown).toMatch(/\/dev\/pts\/\d/);
});

test("top on a terminal → drawn again and again at any width, until ctrl-c or q", async () => {
  const narrow = sit(["vm", "top", "--every", "1s"], 40);
  const top = sit(["vm", "top", "--every", "1s"]);
  await top.sees(/web +running +\d+%/);
  await qctl("vm", "pause", "web");
  await top.sees(/web +paused/);
  expect(top.shown).not.toContain("running");
  await qctl("vm", "resume", "web");
  await top.sees(/web +running/);
  await narrow.sees(/web +\d+%/);
  expect(narrow.shown.split("\n")).toHaveLength(2);
  for (const [each, key] of [
    [top, "\u0003"],
    [narrow, "q"],
  ] as const) {
    each.type(key);
    expect(await each.ends()).toBe(0);
  }
});

test("an image of our own → made before it is needed, and there at once where it is", async () => {
  const built = await qctl("image", "build", "base");
  expect(built).toMatchObject({ code: 0, stdout: expect.stringMatching(/State +ready/) });
  expect((await qctl("image", "build", "no-such-image")).code).toBe(3);
});

test("a task: submitted, waited for, its output, its files, its reasons, its lessons", async () => {
  const path = join(server.home, "notes.txt");
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

test("a command with files → they go in by name, what it leaves comes out whole", async () => {
  const [a, b] = [join(server.home, "a.csv"), join(server.home, "b.csv")];
  writeFileSync(a, "3\n1\n");
  writeFileSync(b, "2\n");
  const out = join(server.home, "out");
  const command = 'sort -n a.csv second.csv > "$QUEZTL_OUT/sorted.csv"; echo "$GREETING"';
  const words = ["--kind", "general-compute", "--file", a, "--file", `second.csv=${b}`];
  const more = ["--env", "GREETING=hi", "--command", command, "--out", out];
  const done = await qctl("task", "submit", "Sort two tables", ...words, ...more);
  expect(done).toMatchObject({ code: 0, stdout: "hi\n" });
  expect(readFileSync(join(out, "sorted.csv"), "utf8")).toBe("1\n2\n3\n");
  const [id = ""] = (await qctl("task", "list", "-o", "name")).stdout.split("\n");
  expect((await qctl("task", "files", id)).stdout).toContain("sorted.csv");
});

test("a task that goes on: its output followed live, cancelled, queued again", async () => {
  const command = "echo begun; sleep 600";
  const submitted = await qctl("task", "submit", "Sleep long", "--command", command, "-o", "name");
  const id = submitted.stdout.trim();
  const following = new Running("task", "logs", id, "-f", "--stream", "stdout");
  await following.writes("begun");
  expect((await qctl("task", "wait", id, "--timeout", "1s")).code).toBe(8);
  expect((await qctl("task", "cancel", id)).stdout).toBe(`${id} cancelled\n`);
  expect(await following.ends()).toBe(0);
  expect(following.stdout).toBe("begun\n");
  expect((await qctl("task", "retry", id)).stdout).toBe(`${id} queued\n`);
  expect((await qctl("task", "cancel", id)).code).toBe(0);
  expect((await qctl("task", "get", id)).stdout).toContain("cancelled");
});

test("the local node drained in the midst of a task → the task waits, and runs when it may", async () => {
  const out = join(server.home, "drained");
  const words = ["--command", 'sleep 5; echo done > "$QUEZTL_OUT/x"', "--out", out];
  const waiting = new Running("task", "submit", "Sleep a bit", ...words);
  await waiting.writes("run begins");
  const drained = await qctl("node", "drain", "local", "--deadline", "1s", "--yes");
  expect(drained).toMatchObject({ code: 0, stdout: expect.stringMatching(/State +cordoned/) });
  expect(drained.stderr).toContain("stay on it: `qctl vm list --node local`");
  const [id = ""] = (await qctl("task", "list", "-o", "name")).stdout.split("\n");
  expect((await qctl("task", "get", id)).stdout).toMatch(/State +queued/);
  expect((await qctl("node", "uncordon", "local")).code).toBe(0);
  expect(await waiting.ends()).toBe(0);
  expect(readFileSync(join(out, "x"), "utf8")).toBe("done\n");
});

test("the brain: its knowledge carried out, forgotten, and taken in again", async () => {
  const path = join(server.home, "knowledge.json");
  expect((await qctl("brain", "status")).stdout).toMatch(/Experiences +[1-9]/);
  expect((await qctl("brain", "export", path)).code).toBe(0);
  expect((await qctl("brain", "optimize", "--dry-run")).code).toBe(0);
  expect((await qctl("brain", "forget", "--all", "--yes")).stdout).toMatch(/^[1-9]\d* runs/);
  expect((await qctl("brain", "knowledge")).stdout).toBe("");
  expect((await qctl("brain", "import", path)).code).toBe(0);
  expect((await qctl("brain", "knowledge")).stdout).not.toBe("");
  expect((await qctl("brain", "status")).stdout).toMatch(/Experiences +[1-9]/);
});

test("events and a VM outlive their server: it goes down and comes up again", async () => {
  const events = new Running("events", "--topic", "vm", "-o", "json");
  const told = (type: string) =>
    vi.waitFor(async () => {
      // The stream says nothing when it begins: what is to be seen is made to happen until it is.
      if (type === "vm.paused") {
        await qctl("vm", "resume", "web");
        await qctl("vm", "pause", "web");
      }
      expect(events.stdout).toContain(`"${type}"`);
    }, PATIENCE);
  await told("vm.paused");
  expect((await qctl("down")).stderr).toContain("1 VM goes on");
  expect((await qctl("status")).code).toBe(6);
  expect((await qctl("vm", "list")).code).toBe(6);
  expect((await qctl("up", "--port", server.port, "--timeout", "10m")).code).toBe(0);
  expect((await qctl("vm", "get", "web")).stdout).toMatch(/State +paused/);
  const before = events.stdout.split('"vm.resumed"').length;
  expect((await qctl("vm", "resume", "web")).stdout).toBe("web running\n");
  await vi.waitFor(
    () => expect(events.stdout.split('"vm.resumed"').length).toBeGreaterThan(before),
    PATIENCE,
  );
  expect((await qctl("vm", "exec", "web", "cat", "/srv/site/a b/x")).stdout).toBe("x");
  events.interrupt();
  expect(await events.ends()).toBe(0);
  // Whoever may start a server of this home gets in, also without a token from before.
  expect((await qctl("down")).code).toBe(0);
  rmSync(join(server.home, "contexts.json"));
  expect((await qctl("up", "--port", server.port, "--timeout", "10m")).code).toBe(0);
  expect((await qctl("vm", "get", "web")).stdout).toMatch(/State +running/);
});

test("ctrl-c while a VM is made → 130; what is left is told, and can be taken back", async () => {
  const making = new Running("vm", "create", "half", "--cpu", "1", "--memory", "200");
  const state = async () => JSON.parse((await qctl("vm", "get", "half", "-o", "json")).stdout);
  await vi.waitFor(async () => expect((await state()).name).toBe("half"), PATIENCE);
  making.interrupt();
  expect(await making.ends()).toBe(130);
  expect(making.stdout).toBe("");
  expect(making.stderr).toMatch(/half is \w+ and goes on: `qctl vm destroy half --force`/);
  const taken = await qctl("vm", "destroy", "half", "--force", "--yes");
  expect(taken).toMatchObject({ code: 0, stdout: "half destroyed\n" });
  expect((await qctl("vm", "get", "half")).code).toBe(3);
});

test("stop, start and reset → it boots anew, what is on no disk is gone", async () => {
  const boots = async () => {
    const command = ["cat", "/proc/sys/kernel/random/boot_id"];
    const { stdout, stderr } = await qctl("vm", "exec", "web", ...command);
    expect(stderr).toBe("");
    return stdout;
  };
  const first = await boots();
  expect((await qctl("vm", "reset", "web")).stdout).toBe("web running\n");
  const second = await boots();
  expect((await qctl("vm", "stop", "web", "--grace", "30s")).stdout).toBe("web stopped\n");
  expect((await qctl("vm", "exec", "web", "true")).code).toBe(255);
  const started = await qctl("vm", "start", "web");
  expect(started.stderr).toBe("");
  expect(started.stdout).toBe("web running\n");
  const third = await boots();
  expect(new Set([first, second, third]).size).toBe(3);
  expect((await qctl("vm", "exec", "web", "ls", "/root/bytes")).code).toBe(1);
});

test("completion in bash itself → the live server's VMs at TAB", async () => {
  const main = join(root, "src/main.ts");
  const qctlFunction = `qctl() { ${process.execPath} --conditions=@queztl/source ${main} "$@"; }`;
  const terminal = spawn("bash", ["--norc", "-i"], { env: { ...process.env, PS1: "> " } });
  let shown = "";
  terminal.onData((text) => (shown += text));
  const ended = new Promise((resolve) => terminal.onExit(resolve));
  terminal.write(`${qctlFunction}; source <(qctl completion bash); echo loa''ded\r`);
  // The word comes as one from the command alone; behind what bash tells the terminal about pasted text.
  await vi.waitFor(() => expect(shown).toContain("loaded"), PATIENCE);
  terminal.write("qctl vm stop w\t");
  await vi.waitFor(() => expect(shown).toContain("qctl vm stop web"), PATIENCE);
  terminal.write("\u0015exit\r");
  await ended;
  expect((await qctl("complete", "--", "vm", "stop", "w")).stdout).toContain("web");
});

test("every command → was run above", async () => {
  expect((await qctl("completion", "fish")).code).toBe(0);
  expect((await qctl("vm", "destroy", "web", "--force", "--yes")).code).toBe(0);
  expect(await untyped()).toEqual([]);
});
