import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { giveBackMemory } from "../monitor/give-back-memory.ts";
import { serveVm } from "../monitor/serve.ts";
import { LineReader } from "../vm/line-reader.ts";
import { isAlive, processIdentitySchema } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { parseVmConfig } from "../vm/vm-config.ts";
import { OWNER, READY, SOCKET } from "./standby-folder.ts";
import { WarmGuest } from "./warm-guest.ts";

/** How often a process that nobody needs looks whether its folder is still there. */
const LOOK_MS = 2000;
const MOST_LINE_BYTES = 64 * 1024;

/**
 * Waits to become the monitor of a VM, with all that takes time done before: modules loaded, the interpreter compiled
 * and optimised, a machine of the template in the folder restored and run. The process ends when its folder goes.
 */
export async function standBy(
  path: string,
  tell: { readonly ready: () => void; readonly over: (line: string) => void },
): Promise<void> {
  const folder = resolve(path);
  process.chdir(folder);
  const owner = processIdentitySchema.parse(JSON.parse(await readFile(OWNER, "utf8")));
  const found = new AbortController();
  const unneeded = untilUnneeded(owner, found.signal);
  const config = parseVmConfig("config.json", await readFile("config.json", "utf8"));
  const guest = await Promise.race([WarmGuest.make(config), unneeded]);
  if (guest === undefined) {
    await rm(folder, { recursive: true, force: true });
    tell.over("over");
    // The machine that warms it up goes with it.
    process.exit();
  }
  await giveBackMemory();
  const ready = join(dirname(folder), basename(folder).replace(/^[^-]*/, READY));
  // The socket's path is relative: the whole one may be too long.
  const server = createServer({ pauseOnConnect: true });
  const taken = new Promise<Taken>((resolveTaken) => {
    server.on("connection", (socket) => hear(socket, (to) => resolveTaken({ path: to, socket })));
  });
  await listen(server);
  await rename(folder, ready);
  tell.ready();
  const vm = await Promise.race([taken, unneeded]);
  found.abort();
  server.close();
  if (vm === undefined) {
    await guest.discard();
    await rm(ready, { recursive: true, force: true });
    return tell.over("over");
  }
  tell.over("taken");
  await serveVm(vm.path, (line) => vm.socket.end(`${line}\n`), guest);
}

interface Taken {
  /** The VM's folder. */
  readonly path: string;
  /** Who waits to hear whether its monitor runs. */
  readonly socket: Socket;
}

/** Resolves when who keeps this process, or its folder, is gone. Whoever takes it renames the folder, no more. */
async function untilUnneeded(owner: ProcessIdentity, signal: AbortSignal): Promise<undefined> {
  while (!signal.aborted && existsSync(OWNER) && (await isAlive(owner)))
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  return undefined;
}

/** Takes the one line that says for which VM it is. */
function hear(socket: Socket, take: (path: string) => void): void {
  const reader = new LineReader(MOST_LINE_BYTES);
  const read = (line: string): boolean => {
    const { vm } = JSON.parse(line) as { vm: unknown };
    if (typeof vm !== "string") throw new Error("no VM");
    take(vm);
    return false;
  };
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    try {
      reader.push(chunk, read);
    } catch {
      socket.destroy();
    }
  });
  socket.resume();
}

function listen(server: Server): Promise<void> {
  return new Promise((done, reject) => {
    server.once("error", reject);
    server.listen(SOCKET, () => done());
  });
}
