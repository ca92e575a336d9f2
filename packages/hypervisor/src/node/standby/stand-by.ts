import { existsSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { AgentClient } from "../../agent/client.ts";
import { giveBackMemory } from "../monitor/give-back-memory.ts";
import { createGuestMachine } from "../monitor/guest-machine.ts";
import { serveVm } from "../monitor/serve.ts";
import { replaceVmDisks } from "../monitor/vm-disks.ts";
import { LineReader } from "../vm/line-reader.ts";
import { ORIGIN } from "../vm/origin.ts";
import { isAlive, processIdentitySchema } from "../vm/process-identity.ts";
import { parseVmConfig } from "../vm/vm-config.ts";
import { OWNER, READY, SOCKET } from "./standby-folder.ts";

/** Commands run in the model: by then what every VM does at its beginning is compiled. */
const WARM_UP_COMMANDS = 8;
const WARM_UP_MS = 60_000;
/** How often a process that nobody needs looks whether its folder is still there. */
const LOOK_MS = 2000;
const MOST_LINE_BYTES = 64 * 1024;

/**
 * Waits to become the monitor of a VM, with all that takes time done before: modules loaded, the interpreter compiled
 * and optimised by running a machine of the template in the folder. The process ends when its folder goes.
 */
export async function standBy(
  path: string,
  tell: { readonly ready: () => void; readonly over: (line: string) => void },
): Promise<void> {
  const folder = resolve(path);
  process.chdir(folder);
  const owner = processIdentitySchema.parse(JSON.parse(await readFile(OWNER, "utf8")));
  await warmUp(folder);
  await giveBackMemory();
  const ready = join(dirname(folder), basename(folder).replace(/^[^-]*/, READY));
  const vm = await new Promise<{ path: string; socket: Socket } | undefined>((done) => {
    const server = createServer({ pauseOnConnect: true });
    const end = (result?: { path: string; socket: Socket }): void => {
      clearInterval(look);
      server.close();
      done(result);
    };
    server.on("connection", (socket) => hear(socket, (to) => end({ path: to, socket })));
    // Whoever takes it renames the folder: it is looked for by what is in it.
    const look = setInterval(() => {
      void isAlive(owner).then((alive) => {
        if (!alive || !existsSync(SOCKET)) end();
      });
    }, LOOK_MS);
    // The relative path: the whole one may be too long.
    void listen(server).then(async () => {
      await rename(folder, ready);
      tell.ready();
    });
  });
  if (vm === undefined) {
    await rm(ready, { recursive: true, force: true });
    return tell.over("over");
  }
  tell.over("taken");
  await serveVm(vm.path, (line) => vm.socket.end(`${line}\n`));
}

async function warmUp(folder: string): Promise<void> {
  const config = parseVmConfig("config.json", await readFile("config.json", "utf8"));
  const nothing = (): void => undefined;
  const events = {};
  const host = { onSerial: () => true, onDiskError: nothing, onDiskFull: nothing, events };
  await replaceVmDisks(config, folder, ORIGIN);
  const guest = await createGuestMachine(config, folder, host, ORIGIN);
  guest.machine.start();
  try {
    const agent = await AgentClient.connect(guest.agent, { timeoutMs: WARM_UP_MS });
    for (let i = 0; i < WARM_UP_COMMANDS; i++) await agent.run(["true"], { timeoutMs: WARM_UP_MS });
    await agent.close();
  } finally {
    await guest.machine.stop();
  }
  for (const name of [ORIGIN, "disks"]) await rm(name, { recursive: true, force: true });
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
