import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createQueztlClient, type QueztlClient } from "@queztl/api";

/** The command's file, beside the package's entry: its source here, its build in a release. */
const ENTRY = import.meta.resolve("@queztl/server");
const QUEZTL_SERVER = fileURLToPath(new URL(`./main${ENTRY.slice(-3)}`, ENTRY));
const START_MS = 120_000;

/** A server in a process and a home of its own, as `queztl-server` is run; images are those of this computer. */
export class QueztlServer {
  readonly url: string;
  readonly token: string;
  readonly client: QueztlClient;
  readonly #child: ChildProcess;
  readonly #home: string;

  private constructor(parts: { url: string; token: string; child: ChildProcess; home: string }) {
    this.url = parts.url;
    this.token = parts.token;
    this.#child = parts.child;
    this.#home = parts.home;
    this.client = createQueztlClient({ url: this.url, token: this.token });
  }

  /** Starts it. @param environment settings, such as DATABASE_URL. */
  static async start(environment: Readonly<Record<string, string>> = {}): Promise<QueztlServer> {
    const home = mkdtempSync(join(tmpdir(), "queztl-bench-server-"));
    const images = join(homedir(), ".queztl/images");
    if (existsSync(images)) symlinkSync(images, join(home, "images"));
    const words = ["--conditions=@queztl/source", QUEZTL_SERVER, "--home", home, "--port", "0"];
    // What this process is told of a database is not for a server that is to have its own.
    const { DATABASE_URL: _, ...inherited } = process.env;
    const child = spawn(process.execPath, words, {
      env: { ...inherited, QUEZTL_CACHE: join(tmpdir(), "queztl-cache"), ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const found = new Promise<{ url: string; token: string }>((resolve, reject) => {
      const failed = (why: string) =>
        reject(new Error(`queztl-server ${why}: ${said.slice(-2000)}`));
      const timer = setTimeout(() => failed("says nothing"), START_MS);
      const hear = (data: Buffer) => {
        said += data.toString("utf8");
        const url = /"url":"([^"]+)"/.exec(said)?.[1];
        const token = /shown this once: (\S+)/.exec(said)?.[1];
        if (url === undefined || token === undefined) return;
        clearTimeout(timer);
        resolve({ url, token });
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("exit", () => failed("ended"));
    });
    try {
      return new QueztlServer({ ...(await found), child, home });
    } catch (cause) {
      child.kill("SIGKILL");
      rmSync(home, { recursive: true, force: true });
      throw cause;
    }
  }

  /** Stops it, with whatever VMs there are, and removes its home. */
  async stop(): Promise<void> {
    for (const { id } of (await this.client.vm.list.query({})).items) {
      await this.client.vm.destroy.mutate({ vm: id, force: true });
    }
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await gone;
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }
}
