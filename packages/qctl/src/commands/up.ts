import { Flags } from "@oclif/core";
import { isQueztlError } from "@queztl/errors";
import { QueztlCommand } from "../command.ts";
import {
  type Contexts,
  contextsPath,
  queztlHome,
  readContexts,
  writeContexts,
} from "../context/contexts.ts";
import { resolveTarget } from "../context/target.ts";
import { qctlErrors } from "../errors.ts";
import { healthOf } from "../local/health.ts";
import { findServerProgram } from "../local/server-program.ts";
import { DEFAULT_PORT, runningServer, serverPaths } from "../local/server-record.ts";
import { startLocalServer } from "../local/start-server.ts";
import { type ServerStatus, statusView } from "../view/facts.ts";

const LONGEST_START_SECONDS = 180;
/** The token that a start makes where none is known. */
const TOKEN_NAME = "qctl up";

export default class Up extends QueztlCommand<typeof Up> {
  static override summary = "Start a server here in the background, or use the one that runs";
  static override description =
    "The first start makes a database and a token; the token goes into the context `local`, which is used from then on. Everything lies in QUEZTL_HOME, ~/.queztl unless given.";
  static override examples = ["<%= config.bin %> up", "<%= config.bin %> up --port 7171"];
  static override flags = {
    port: Flags.integer({
      min: 1,
      max: 65_535,
      helpValue: "N",
      summary: `The port; ${DEFAULT_PORT} unless given`,
    }),
    name: Flags.string({ default: "local", helpValue: "NAME", summary: "The context for it" }),
  };

  async run(): Promise<ServerStatus> {
    const home = queztlHome(process.env);
    const paths = serverPaths(home);
    const known = runningServer(paths);
    const { port } = this.flags;
    const url = port === undefined ? (known?.url ?? addressOf(DEFAULT_PORT)) : addressOf(port);
    if (known !== undefined && known.url !== url) {
      throw qctlErrors("QZ_QCTL_SERVER_RUNS", { url: known.url, home });
    }
    const health = await healthOf(url);
    if (health === "foreign") throw qctlErrors("QZ_QCTL_PORT_TAKEN", { url });
    if (health === "absent") await this.start(home, url);
    else {
      if (health === "starting") await this.busy(`waiting for ${url}`, this.awaitReady(url));
      this.attach(url);
    }
    return this.show(statusView, await this.statusOf(url));
  }

  /** Starts a server, and keeps its first token. */
  private async start(home: string, url: string): Promise<void> {
    const program = findServerProgram(process.env);
    const starting = startLocalServer({
      program,
      home,
      url,
      port: Number(new URL(url).port),
      // A home that was used already has tokens, but perhaps none is known here.
      ...(this.knowsToken(url) ? {} : { token: TOKEN_NAME }),
      environment: withoutOwn(process.env),
      signal: this.signal,
      timeoutSeconds: this.timeoutSeconds ?? LONGEST_START_SECONDS,
    });
    const { token } = await this.busy("starting the server", starting);
    if (token === undefined) return this.attach(url);
    this.keep(url, token);
    this.say(`its token is in the context ${this.flags.name}, which is used from now on`);
  }

  /** Uses a server that runs: its token must be known already. */
  private attach(url: string): void {
    const path = contextsPath(process.env);
    const contexts = readContexts(path);
    const { token, context } = resolveTarget({ server: url }, process.env, contexts);
    this.keep(url, token, context);
  }

  private knowsToken(server: string): boolean {
    try {
      resolveTarget({ server }, process.env, readContexts(contextsPath(process.env)));
      return true;
    } catch (failure) {
      if (isQueztlError(failure, "QZ_QCTL_TOKEN_UNKNOWN")) return false;
      throw failure;
    }
  }

  private keep(server: string, token: string, known?: string): void {
    const path = contextsPath(process.env);
    const before: Contexts = readContexts(path);
    const name = known ?? this.flags.name;
    const contexts = { ...before.contexts, [name]: { server, token } };
    writeContexts(path, { current: name, contexts });
  }

  private async awaitReady(url: string): Promise<void> {
    const until = performance.now() + (this.timeoutSeconds ?? LONGEST_START_SECONDS) * 1000;
    while ((await healthOf(url)) !== "ready") {
      if (performance.now() > until || this.signal.aborted) {
        throw qctlErrors("QZ_QCTL_TIMEOUT", { what: url, seconds: LONGEST_START_SECONDS });
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  private async statusOf(server: string): Promise<ServerStatus> {
    const target = resolveTarget({ server }, process.env, readContexts(contextsPath(process.env)));
    const client = await this.connect(target);
    const stats = await client.stats.get.query({});
    const { version, uptimeSeconds, database } = stats;
    const { tasks, vms } = stats;
    return {
      state: "up",
      server,
      context: target.context ?? null,
      version,
      uptimeSeconds,
      database,
      vms: vms["running"] ?? 0,
      tasks: (tasks["queued"] ?? 0) + (tasks["preparing"] ?? 0) + (tasks["running"] ?? 0),
      pid: runningServer(serverPaths(queztlHome(process.env)))?.pid ?? null,
      problem: null,
    };
  }
}

const addressOf = (port: number): string => `http://127.0.0.1:${port}`;

/** The environment for a server: what is meant for the command line alone is not its business. */
function withoutOwn(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const {
    QUEZTL_TOKEN: _token,
    QUEZTL_SERVER: _server,
    QUEZTL_CONTEXT: _context,
    ...rest
  } = environment;
  return rest;
}
