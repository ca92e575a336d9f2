import { createServer, connect } from "node:net";
import type { Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConsoleHub } from "./console-hub.ts";

let folder: string;
const open: Socket[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "queztl-console-"))));
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
  rmSync(folder, { recursive: true });
});

/** A client of the hub, and its other end. */
async function viewer(
  hub: ConsoleHub,
  options: { scrollBackBytes?: number; input?: boolean } = {},
): Promise<Socket> {
  const path = join(folder, `${Math.random()}`);
  const server = createServer().listen(path);
  const socket = connect(path);
  const [other] = await new Promise<[Socket]>((resolve) =>
    server.once("connection", (end) => resolve([end])),
  );
  server.close();
  open.push(socket, other);
  hub.attach(other, { scrollBackBytes: 1 << 20, input: true, ...options });
  return socket;
}

/** What a client is shown until it ends with that. */
async function until(socket: Socket, end: string): Promise<string> {
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.endsWith(end)) break;
  }
  return text;
}

const nobody = () => Promise.resolve();

test("two clients, one late → both see the same, the late one from the scroll-back", async () => {
  const hub = new ConsoleHub(nobody);
  const first = await viewer(hub);
  hub.output(Buffer.from("booting\n"));
  expect(await until(first, "\n")).toBe("booting\n");
  const second = await viewer(hub);
  const brief = await viewer(hub, { scrollBackBytes: 3 });
  hub.output(Buffer.from("ready\n"));
  expect(await until(first, "ready\n")).toBe("ready\n");
  expect(await until(second, "ready\n")).toBe("booting\nready\n");
  expect(await until(brief, "ready\n")).toBe("ng\nready\n");
});

test("what clients type → goes to the guest; of one that only looks, nothing", async () => {
  const typed: string[] = [];
  const hub = new ConsoleHub((bytes) => {
    typed.push(String(bytes));
    return Promise.resolve();
  });
  const looker = await viewer(hub, { input: false });
  const typist = await viewer(hub);
  looker.write("rm -rf /\n");
  await new Promise((resolve) => setTimeout(resolve, 20));
  typist.write("ls\n");
  await expect.poll(() => typed.join("")).toBe("ls\n");
});

test("a client that does not read → holds up nobody, and sees the newest bytes when it does", async () => {
  const hub = new ConsoleHub(nobody);
  const slow = await viewer(hub);
  slow.pause();
  const fast = await viewer(hub);
  let seen = 0;
  fast.on("data", (chunk) => (seen += chunk.length));
  const line = Buffer.alloc(1024, "x");
  for (let i = 0; i < 4096; i++) {
    hub.output(line);
    if (i % 64 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  hub.output(Buffer.from("the end"));
  await expect.poll(() => seen).toBe(4096 * 1024 + 7);
  const text = await until(slow, "the end");
  expect(text).toMatch(/\[queztl: \d+ bytes were not shown\]/);
  expect(text.length).toBeLessThan(2 * 1024 * 1024);
});

test("a guest that reads nothing → what is typed stays in the client's socket", async () => {
  let given = 0;
  const hub = new ConsoleHub((bytes) => {
    given += bytes.length;
    return new Promise(() => undefined);
  });
  const typist = await viewer(hub);
  typist.write(Buffer.alloc(8 * 1024 * 1024));
  await expect.poll(() => given).toBeGreaterThan(64 * 1024);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(given).toBeLessThan(256 * 1024);
});
