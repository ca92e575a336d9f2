import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { chown } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const DEBIAN = "/usr/lib/postgresql";

/** A Postgres of a test's own, in a temporary folder. */
export interface PrivatePostgres {
  readonly url: string;
  /** Makes an empty database and gives its address. */
  database(name: string): string;
  /** Kills it without a word and starts it again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** The programs of an installed Postgres; undefined where there is none. */
export function postgresPrograms(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort() : [];
  return versions
    .toReversed()
    .map((version) => join(DEBIAN, version, "bin"))
    .find((folder) => existsSync(join(folder, "initdb")));
}

/** Starts a Postgres. It does not run as root: there it runs as the user that Debian's package made. */
export async function startPrivatePostgres(): Promise<PrivatePostgres> {
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error("no Postgres is installed");
  const folder = mkdtempSync(join(tmpdir(), "queztl-postgres-"));
  const user = process.getuid?.() === 0 ? idsOf("postgres") : undefined;
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const run = (program: string, words: readonly string[]) => {
    const done = spawnSync(join(programs, program), words, {
      encoding: "utf8",
      cwd: folder,
      ...user,
    });
    if (done.status !== 0) throw new Error(`${program}: ${done.stderr}`);
  };
  run("initdb", ["-D", data, "-U", "queztl", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]);
  const port = await freePort();
  const base = `postgres://queztl@127.0.0.1:${port}`;
  const start = async () => {
    const words = [
      "-D",
      data,
      "-p",
      String(port),
      "-k",
      folder,
      "-c",
      "listen_addresses=127.0.0.1",
    ];
    const child = spawn(join(programs, "postgres"), [...words, "-c", "max_connections=50"], {
      cwd: folder,
      stdio: "ignore",
      ...user,
    });
    const ready = () =>
      spawnSync(join(programs, "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]).status === 0;
    for (let tries = 0; !ready(); tries += 1) {
      if (tries > 600 || child.exitCode !== null) throw new Error("Postgres does not start");
      await sleep(100);
    }
    return child;
  };
  let child = await start();
  const end = async (signal: NodeJS.Signals) => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  };
  return {
    url: `${base}/postgres`,
    database(name) {
      run("createdb", ["-h", "127.0.0.1", "-p", String(port), "-U", "queztl", name]);
      return `${base}/${name}`;
    },
    async restart() {
      // SIGQUIT is Postgres's own way to end at once, as after a power cut.
      await end("SIGQUIT");
      child = await start();
    },
    async stop() {
      await end("SIGQUIT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function idsOf(name: string): { uid: number; gid: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
