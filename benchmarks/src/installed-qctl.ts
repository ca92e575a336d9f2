import { execFileSync, type ExecFileSyncOptions } from "node:child_process";
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

const ROOT = join(import.meta.dirname, "../..");
/** The command and what it needs of ours. */
const PACKAGES = ["errors", "api", "qctl"];

/** qctl as its users have it: built, packed, installed by npm, with a server to talk to. */
export interface InstalledQctl {
  /** The file that `qctl` of the PATH is. */
  readonly bin: string;
  /** What names the server, its token and a home of its own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly url: string;
  readonly token: string;
  remove(): Promise<void>;
}

/** Installs it in a folder of its own. Takes a minute where nothing is built yet. */
export async function installQctl(): Promise<InstalledQctl> {
  const place = mkdtempSync(join(tmpdir(), "queztl-bench-qctl-"));
  const quiet: ExecFileSyncOptions = { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] };
  execFileSync("pnpm", ["exec", "turbo", "run", "build", "--filter=@queztl/qctl"], quiet);
  for (const name of PACKAGES) {
    const words = [
      "--dir",
      join("packages", name),
      "pack",
      "--silent",
      "--pack-destination",
      place,
    ];
    execFileSync("pnpm", words, quiet);
  }
  writeFileSync(join(place, "package.json"), '{ "private": true }\n');
  const tarballs = globSync("*.tgz", { cwd: place }).map((name) => join(place, name));
  const options = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--omit=peer"];
  execFileSync("npm", [...options, ...tarballs], { ...quiet, cwd: place });

  // The server answers from a thread of its own.
  const server = new Worker(new URL("./fake-server.ts", import.meta.url), { stdout: true });
  const [url = "", token = ""] = await new Promise<string[]>((resolve, reject) => {
    server.once("error", reject);
    server.stdout.once("data", (text) => resolve(String(text).trim().split(" ")));
  });
  return {
    bin: join(place, "node_modules/.bin/qctl"),
    environment: { QUEZTL_SERVER: url, QUEZTL_TOKEN: token, QUEZTL_HOME: place },
    url,
    token,
    async remove() {
      await server.terminate();
      rmSync(place, { recursive: true, force: true });
    },
  };
}
