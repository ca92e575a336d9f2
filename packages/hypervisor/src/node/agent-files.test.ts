import {
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test as base } from "vitest";
import type { AgentClient } from "../agent/client.ts";
import type { GuestEntry, GuestEntryOut } from "../agent/files.ts";
import { agentFixtures } from "../agent/testing/perl-agent.ts";
import type { AgentFixtures } from "../agent/testing/perl-agent.ts";
import { copyFromGuest, copyIntoGuest } from "./agent-files.ts";

const test = base.extend<AgentFixtures>(agentFixtures);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "queztl-agent-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bytes = (text: string) => new TextEncoder().encode(text);

/** A tree with all that makes copying hard. */
async function makeTree(root: string): Promise<void> {
  await mkdir(join(root, "a/b/empty"), { recursive: true });
  await writeFile(join(root, "a/script"), "#!/bin/sh\n", { mode: 0o755 });
  await writeFile(join(root, "a/b/big"), Buffer.alloc(500_000, 7));
  await writeFile(join(root, "none"), "");
  await writeFile(join(root, " odd\n'\"*name-é"), "odd");
  await writeFile(
    Buffer.concat([Buffer.from(`${root}/bytes-`), Buffer.from([0xff, 0xfe])]),
    "bytes",
  );
  await symlink("../none", join(root, "a/link"));
  await symlink("nowhere", join(root, "dangling"));
  await mkdir(join(root, "locked"), { mode: 0o555 });
  await utimes(join(root, "none"), 1_000_000_000, 1_234_567_890.125);
  await utimes(join(root, "a"), 1_000_000_000, 1_111_111_111);
}

/** All of a tree, as one value. */
async function describeTree(root: string | Buffer, prefix = ""): Promise<unknown[]> {
  const described: unknown[] = [];
  for (const name of (await readdir(root, "latin1")).sort()) {
    const place = Buffer.concat([Buffer.from(root), Buffer.from(`/${name}`, "latin1")]);
    const stats = await lstat(place);
    const content = stats.isFile() ? await readFile(place, "latin1") : "";
    const target = stats.isSymbolicLink() ? await readlink(place) : "";
    const time = stats.isSymbolicLink() ? 0 : Math.trunc(stats.mtimeMs);
    described.push([prefix + name, stats.mode.toString(8), time, content, target]);
    if (stats.isDirectory()) described.push(...(await describeTree(place, `${prefix}${name}/`)));
  }
  return described;
}

async function all(client: AgentClient, path: string): Promise<Map<string, GuestEntryOut>> {
  const entries = new Map<string, GuestEntryOut>();
  for await (const entry of client.copyOut(path)) entries.set(entry.path, entry);
  return entries;
}

describe("trees", () => {
  test("a tree with odd names, links and times → in and out again unchanged", async ({
    client,
  }) => {
    await mkdir(join(folder, "host"));
    await makeTree(join(folder, "host"));
    const written = await copyIntoGuest(client, join(folder, "host"), join(folder, "guest/deep"));
    expect(written).toEqual({ entries: 11, bytes: 500_018 });
    const expected = await describeTree(join(folder, "host"));
    expect(await describeTree(join(folder, "guest/deep"))).toEqual(expected);
    const read = await copyFromGuest(client, join(folder, "guest/deep"), join(folder, "back"));
    expect(read).toEqual({ entries: 11, bytes: 500_018, skipped: [] });
    expect(await describeTree(join(folder, "back"))).toEqual(expected);
  });

  test("copied over what is there → replaced; a second copy is the same", async ({ client }) => {
    await makeTree(folder);
    const target = join(folder, "a/b/empty");
    await writeFile(join(target, "none"), "former");
    await copyIntoGuest(client, join(folder, "none"), target);
    expect(await readFile(join(target, "none"), "utf8")).toBe("");
    await copyFromGuest(client, join(folder, "a/script"), target);
    await copyFromGuest(client, join(folder, "a/script"), target);
    expect((await lstat(join(target, "script"))).mode & 0o777).toBe(0o755);
  });

  test("contents that nobody reads → passed over, the entries come all the same", async ({
    client,
  }) => {
    await makeTree(folder);
    const entries = await all(client, folder);
    expect(entries.get("a/b/big")).toMatchObject({ type: "file", size: 500_000, mode: 0o644 });
    expect(entries.get("a/link")).toMatchObject({ type: "symlink", target: "../none" });
    expect(entries.get("a/b")).toMatchObject({ type: "directory" });
    expect(entries.has("bytes-\udcff\udcfe")).toBe(true);
  });

  test("what is neither file, folder nor link → left out", async ({ client }) => {
    await client.run(["mkfifo", join(folder, "pipe")]);
    await writeFile(join(folder, "file"), "x");
    expect([...(await all(client, folder)).keys()]).toEqual(["file"]);
  });
});

describe("single files", () => {
  test("written and read again → the same, with the folders above", async ({ client }) => {
    const content = new Uint8Array(3_000_000).map((_, i) => i >> 4);
    await client.writeFile(join(folder, "x/y/z"), content, { mode: 0o600 });
    expect(Buffer.compare(await client.readFile(join(folder, "x/y/z")), content)).toBe(0);
    expect((await lstat(join(folder, "x/y/z"))).mode & 0o777).toBe(0o600);
  });

  test("a stream as content → written as it comes", async ({ client }) => {
    async function* content() {
      for (let i = 0; i < 3; i++) yield bytes(`${i}\n`);
    }
    await client.writeFile(join(folder, "stream"), content());
    expect(await readFile(join(folder, "stream"), "utf8")).toBe("0\n1\n2\n");
  });

  test("what cannot be read or written → QZ_HYPERVISOR_AGENT_REFUSED and why", async ({
    client,
  }) => {
    await writeFile(join(folder, "file"), "x");
    const refused = (reason: string) => ({
      code: "QZ_HYPERVISOR_AGENT_REFUSED",
      message: expect.stringContaining(reason),
    });
    await expect(client.readFile(join(folder, "none"))).rejects.toMatchObject(
      refused("No such file or directory"),
    );
    await expect(client.readFile(folder)).rejects.toMatchObject(refused("is not a file"));
    await expect(client.writeFile(join(folder, "file/x"), "y")).rejects.toMatchObject(
      refused("Not a directory"),
    );
    await expect(client.writeFile("relative", "y")).rejects.toThrow(/absolute path/);
  });

  test("more than the limit → QZ_HYPERVISOR_AGENT_LIMIT, and the client goes on", async ({
    client,
  }) => {
    await writeFile(join(folder, "file"), Buffer.alloc(2_000_000));
    const limited = { code: "QZ_HYPERVISOR_AGENT_LIMIT" };
    const read = client.readFile(join(folder, "file"), { maxBytes: 1000 });
    await expect(read).rejects.toMatchObject(limited);
    await writeFile(join(folder, "file2"), "");
    const copy = copyFromGuest(client, folder, join(folder, "out"), { maxEntries: 1 });
    await expect(copy).rejects.toMatchObject(limited);
    expect((await client.run(["echo", "on"])).stdout).toBe("on\n");
  });

  test("an aborted copy → QZ_HYPERVISOR_AGENT_CANCELLED, and the client goes on", async ({
    client,
  }) => {
    const controller = new AbortController();
    async function* endless() {
      for (let i = 0; ; i++) {
        if (i === 20) controller.abort();
        yield new Uint8Array(10_000);
      }
    }
    const { signal } = controller;
    const write = client.writeFile(join(folder, "endless"), endless(), { signal });
    await expect(write).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_CANCELLED" });
    expect((await client.run(["echo", "on"])).stdout).toBe("on\n");
  });
});

describe("ways out of the folder", () => {
  const file = (path: string): GuestEntry => ({ type: "file", path, content: "evil" });

  test.for(["../x", "/x", "a/../../x", "a//x", ".", "", "a/./x", "a\0b"])(
    "an entry called %j → QZ_HYPERVISOR_OPTIONS here, before the guest sees it",
    async (path, { client }) => {
      await expect(client.copyIn(join(folder, "in"), [file(path)])).rejects.toMatchObject({
        code: "QZ_HYPERVISOR_OPTIONS",
      });
    },
  );

  test("a link, then a file through it → the guest refuses, nothing is written there", async ({
    client,
  }) => {
    await mkdir(join(folder, "outside"));
    const link: GuestEntry = { type: "symlink", path: "link", target: join(folder, "outside") };
    const copy = client.copyIn(join(folder, "in"), [link, file("link/x")]);
    await expect(copy).rejects.toMatchObject({ code: "QZ_HYPERVISOR_AGENT_REFUSED" });
    expect(await readdir(join(folder, "outside"))).toEqual([]);
    await client.copyIn(join(folder, "in"), [file("link")]);
    expect(await readdir(join(folder, "outside"))).toEqual([]);
    expect(await readFile(join(folder, "in/link"), "utf8")).toBe("evil");
  });

  test("links of the guest that lead out → not made here, and said so", async ({ client }) => {
    await mkdir(join(folder, "guest/sub"), { recursive: true });
    for (const [name, target] of [
      ["absolute", "/etc/passwd"],
      ["up", "../x"],
      ["sub/up", "../../x"],
      ["sub/inside", "../y"],
    ] as const)
      await symlink(target, join(folder, "guest", name));
    const { skipped } = await copyFromGuest(client, join(folder, "guest"), join(folder, "host"));
    expect(skipped.map(({ path }) => path).sort()).toEqual(["absolute", "sub/up", "up"]);
    expect(await readdir(join(folder, "host"), { recursive: true })).toEqual(["sub", "sub/inside"]);
  });

  test("a link here where the guest has a folder → QZ_HYPERVISOR_FILE, nothing is written through it", async ({
    client,
  }) => {
    await mkdir(join(folder, "guest/sub"), { recursive: true });
    await writeFile(join(folder, "guest/sub/x"), "evil");
    await mkdir(join(folder, "host"));
    await mkdir(join(folder, "outside"));
    await symlink("../outside", join(folder, "host/sub"));
    const copy = copyFromGuest(client, join(folder, "guest"), join(folder, "host"));
    await expect(copy).rejects.toMatchObject({ code: "QZ_HYPERVISOR_FILE" });
    expect(await readdir(join(folder, "outside"))).toEqual([]);
  });
});
