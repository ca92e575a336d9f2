import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, vi } from "vitest";
import { qctl, temporaryHome } from "./cli.ts";
import { endAll, freePort } from "./live.ts";

/** A server of its own for a test file, with a home of its own. */
export interface LiveServer {
  readonly home: string;
  port: string;
}

/** What of this computer's own home is used: what takes minutes to make, and is the same for everybody. */
const MADE_ONCE = { images: "images", templates: "templates" } as const;

/** Starts a server with `qctl up` before the tests of a file, and takes everything away after them. */
export function liveServer(shared: readonly (keyof typeof MADE_ONCE)[]): LiveServer {
  const home = temporaryHome();
  const server: LiveServer = { home: home.path, port: "" };
  beforeAll(async () => {
    vi.stubEnv("QUEZTL_HOME", home.path);
    for (const name of shared) {
      const folder = join(homedir(), ".queztl", MADE_ONCE[name]);
      mkdirSync(folder, { recursive: true });
      symlinkSync(folder, join(home.path, name));
    }
    server.port = String(await freePort());
    const up = await qctl("up", "--port", server.port, "--timeout", "10m");
    if (up.code !== 0) throw new Error(up.stderr);
  });
  afterAll(async () => {
    endAll();
    // A test that failed may have left the server down, and VMs go on without it.
    await qctl("up", "--port", server.port);
    for (const vm of (await qctl("vm", "list", "-o", "name")).stdout.split("\n").filter(Boolean)) {
      await qctl("vm", "destroy", vm, "--force", "--yes");
    }
    const down = await qctl("down");
    vi.unstubAllEnvs();
    const left = processesOf(home.path);
    home.remove();
    if (down.code !== 0) throw new Error(down.stderr);
    if (left.length > 0) throw new Error(`processes are left: ${left.join("; ")}`);
  });
  return server;
}

/** The command lines of processes that name a folder. */
export function processesOf(folder: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (words.includes(folder)) found.push(`${pid} ${words}`);
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

/** The names in a folder of the home; none where there is no such folder. */
export function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : [];
}
