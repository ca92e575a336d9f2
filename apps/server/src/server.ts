import type { Server as NodeServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createRouter, type Services } from "@queztl/api";
import { SkillLibrary } from "@queztl/skills/node";
import pino, { type Logger } from "pino";
import { BrainHost } from "./brain/brain-host.ts";
import { createBrainService } from "./brain/brain-service.ts";
import { type Config, type GivenSettings, loadConfig } from "./config/load-config.ts";
import { Settings } from "./config/settings.ts";
import { Tokens } from "./access/tokens.ts";
import type { Database } from "./database/database.ts";
import { openEmbedded } from "./database/embedded.ts";
import { openPostgres } from "./database/postgres.ts";
import { serverErrors } from "./errors.ts";
import { EventLog } from "./events/event-log.ts";
import { Files } from "./files/files.ts";
import { serveConsoles } from "./http/console-sockets.ts";
import { createHttpServer } from "./http/http-server.ts";
import { DEFAULT_IMAGE, Images } from "./images/images.ts";
import { hostCapacity, Reservations } from "./nodes/capacity.ts";
import { Nodes } from "./nodes/nodes.ts";
import { startExporting } from "./observe/exporting.ts";
import { Metrics } from "./observe/metrics.ts";
import { OptimisationCycle } from "./optimise/cycle.ts";
import { IdleVms } from "./optimise/idle-vms.ts";
import { Standby } from "./optimise/standby.ts";
import { Templates } from "./optimise/templates.ts";
import { createStatsService } from "./stats/stats.ts";
import { TaskLogs } from "./tasks/task-logs.ts";
import { TaskQueue } from "./tasks/task-queue.ts";
import { TaskRecords } from "./tasks/task-records.ts";
import { TaskRunner } from "./tasks/task-runner.ts";
import { createTaskService } from "./tasks/task-service.ts";
import { Fleet } from "./vms/fleet.ts";
import { createHypervisorHost } from "./vms/hypervisor-host.ts";
import { UndoStack } from "./undo-stack.ts";
import { Tickets } from "./vms/tickets.ts";
import type { VmHost } from "./vms/vm-host.ts";
import { createVmService } from "./vms/vm-service.ts";

/** How a server is started; all that is left out comes from the environment, the file and the defaults. */
export interface ServerOptions {
  /** Settings as flags give them; they win over the environment and the file. */
  readonly settings?: GivenSettings;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A JSON file with settings; `HOME/server.json`, where there is one, unless given. */
  readonly configFile?: string;
  /**
   * Makes an administrator's token of this name, in place of the one before: for whoever starts a server and knows
   * none. A server without any token makes its first one unasked.
   */
  readonly token?: string;
  /** Where log lines go; standard output unless given. */
  readonly log?: Logger;
  /** Hears what a start is busy with. */
  readonly onStep?: (step: string) => void;
  /** What runs VMs: this computer's unless given. For tests and for other kinds of hosts. */
  readonly vmHost?: (home: string) => VmHost | Promise<VmHost>;
}

/** What was left going when a server stopped. */
export interface Farewell {
  /** VMs that go on without a server; the next one takes them over. */
  readonly vms: number;
  readonly tasks: number;
}

/** A server that answers. */
export interface RunningServer {
  readonly url: string;
  readonly home: string;
  readonly database: Database["kind"];
  /** The secret of the token that this start has made, if any: it is not shown again. */
  readonly token: string | undefined;
  /** The same services that the API calls, for the process itself. */
  readonly services: Services;
  /** Resolves with the reason when the server can no longer do its work and must be closed. */
  readonly failed: Promise<unknown>;
  /** Answers what was asked, begins nothing more, lets VMs go on and closes the database. */
  close(): Promise<Farewell>;
}

/** The version of this package. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  }
).version;

/**
 * Starts a server: database, brain, VMs and tasks of an earlier one, then the API. Throws
 * `QZ_SERVER_CONFIG_INVALID`, `QZ_SERVER_HOME_IN_USE`, `QZ_SERVER_DATABASE_IN_USE`,
 * `QZ_SERVER_DATABASE_UNAVAILABLE` and `QZ_SERVER_ADDRESS_IN_USE`; then nothing is left running.
 */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const config = loadConfig({
    flags: options.settings ?? {},
    environment: options.environment ?? process.env,
    ...(options.configFile === undefined ? {} : { file: options.configFile }),
  });
  const undo = new UndoStack();
  try {
    return await assembled(config, options, undo);
  } catch (cause) {
    await undo.run();
    throw cause;
  }
}

async function assembled(
  config: Config,
  options: ServerOptions,
  undo: UndoStack,
): Promise<RunningServer> {
  const { home } = config;
  const { onStep = () => undefined } = options;
  const log = options.log ?? createLog(config);
  mkdirSync(home, { recursive: true, mode: 0o700 });

  undo.defer(startExporting(options.environment ?? process.env, VERSION));
  const database = await openDatabase(config, onStep);
  undo.defer(() => database.close());
  const { records } = database;
  const metrics = new Metrics();
  const events = new EventLog(records, ({ type }) => metrics.events.inc({ type }));
  undo.defer(() => events.flush());
  const settings = await Settings.load(config, records, events);
  const tokens = new Tokens(records, events);

  onStep("opening the brain");
  const vmHost = await (options.vmHost ?? createHypervisorHost)(home);
  const own = hostCapacity();
  const reservations = new Reservations({
    cpu: settings.get("node.cpu") ?? own.cpu,
    memoryMib: settings.get("node.memoryMib") ?? own.memoryMib,
  });
  const brain = await BrainHost.open(records, {
    policy: settings.get("brain.policy"),
    mostMemoryMib: Math.min(vmHost.mostMemoryMib, reservations.capacity.memoryMib),
    mostVcpus: Math.min(vmHost.mostCpu, reservations.capacity.cpu),
    mostGpus: 0,
    defaultVcpus: 1,
    defaultImage: DEFAULT_IMAGE,
  });
  undo.defer(() => brain.flush());

  const fleet = new Fleet({ records, host: vmHost, reservations, events, log });
  undo.defer(() => fleet.close());
  const files = new Files({ home, records, settings, events });
  const images = new Images({ home, records, host: vmHost, files, events, log });
  undo.defer(() => images.stop());
  const logs = new TaskLogs(home, settings);
  const taskRecords = new TaskRecords(records);
  onStep("opening the queue");
  const queue = new TaskQueue(database, (error) =>
    log.warn({ err: error }, "the queue has a problem"),
  );
  await queue.start();
  undo.defer(() => queue.stop());
  const skills = await SkillLibrary.open({
    folder: join(home, "skills"),
    onBroken: (problem) => log.warn({ err: problem }, "a folder is no skill"),
  });
  const templates = new Templates({ host: vmHost, records, settings, log });
  undo.defer(() => templates.stop());
  const runner = new TaskRunner({
    home,
    records: taskRecords,
    queue,
    logs,
    brain,
    fleet,
    reservations,
    templates,
    settings,
    events,
    metrics,
    skills,
    log,
  });
  const { diskMib } = await freeDisk(home);
  const nodes = new Nodes({
    records,
    events,
    reservations,
    engines: vmHost.engines,
    diskMib,
    version: VERSION,
    log,
    drain: (seconds, signal) => runner.drain(seconds, signal),
  });
  await nodes.registerLocal();
  const idle = new IdleVms(fleet, log);
  const standby = new Standby(vmHost, settings, log);
  const cycle = new OptimisationCycle({
    records,
    brain,
    idle,
    standby,
    templates,
    files,
    events,
    settings,
    log,
  });
  const tickets = new Tickets();

  const services: Services = {
    authenticate: tokens.authenticate,
    vm: createVmService({
      fleet,
      brain,
      tickets,
      defaultImage: DEFAULT_IMAGE,
      defaultMemoryMib: () => settings.get("tasks.memoryMib"),
    }),
    task: createTaskService({
      home,
      records: taskRecords,
      queue,
      runner,
      logs,
      files,
      events,
      settings,
    }),
    brain: createBrainService({ host: brain, files, events, cycle }),
    node: nodes.service,
    image: images.service,
    file: files.service,
    stats: createStatsService({
      home,
      version: VERSION,
      database,
      fleet,
      tasks: taskRecords,
      images,
      brain,
    }),
    config: settings.service,
    events: events.service,
    token: tokens.service,
  };
  const router = createRouter(services, {
    onFault(fault, at) {
      metrics.faults.inc();
      log.error({ err: fault, ...at }, "the server failed");
    },
  });
  metrics.gauge("queztl_vms", "VMs by state", "state", () => fleet.counts());
  metrics.gauge("queztl_tasks", "Tasks by state", "state", () => taskRecords.counts());
  metrics.gauge("queztl_reserved", "What of this node is given to VMs", "resource", async () => ({
    ...reservations.used,
  }));

  onStep("taking over what an earlier server left");
  await fleet.reconcile();
  const corsOrigins = settings
    .get("cors.origins")
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);
  const app = await createHttpServer({
    router,
    authenticate: tokens.authenticate,
    metrics,
    log,
    version: VERSION,
    limits: {
      requestsPerMinute: settings.get("limits.requestsPerMinute"),
      refusalsPerMinute: settings.get("limits.refusalsPerMinute"),
      bodyBytes: settings.get("limits.bodyMib") * 1_048_576,
    },
    corsOrigins,
    metricsOpen: settings.get("metrics.open"),
    ready: () => database.check(),
  });
  const endConsoles = serveConsoles({ server: app.server, tickets, fleet, corsOrigins, log });
  const [host, port] = [settings.get("host"), settings.get("port")];
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const problem = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw serverErrors("QZ_SERVER_ADDRESS_IN_USE", { host, port, problem }, { cause });
  }
  undo.defer(() => closeHttp(app, settings.get("stop.graceSeconds") * 1000));
  undo.defer(endConsoles);
  // Else its end would wait for VMs that clients have asked for.
  undo.defer(() => fleet.stopStarting());
  // Last, because it begins to act: and so it is stopped first.
  await runner.start();
  cycle.start();
  undo.defer(async () => {
    await cycle.stop();
    await runner.stop();
  });
  const token = await (options.token === undefined
    ? tokens.makeFirst()
    : tokens.makeAnew(options.token));
  const url = urlOf(app.server, host);
  await events.record({
    type: "server.started",
    message: `listening at ${url}`,
    details: { version: VERSION },
  });
  log.info({ url, database: database.kind, home }, "listening");

  let closing: Promise<Farewell> | undefined;
  return {
    url,
    home,
    database: database.kind,
    token,
    services,
    failed: new Promise((resolve) => {
      database.lost.addEventListener("abort", () => resolve(database.lost.reason), { once: true });
    }),
    close() {
      closing ??= (async () => {
        const farewell = {
          vms: (await fleet.running().catch(() => [])).length,
          tasks: runner.running,
        };
        await events
          .record({ type: "server.stopping", message: "stopping" })
          .catch(() => undefined);
        await undo.run();
        log.info(farewell, "stopped; what runs goes on");
        return farewell;
      })();
      return closing;
    },
  };
}

function createLog(config: Config): Logger {
  return pino({
    level: config.get("log.level"),
    redact: { paths: ["*.authorization", "*.secret", "*.password"], censor: "[removed]" },
  });
}

function openDatabase(config: Config, onStep: (step: string) => void): Promise<Database> {
  const url = config.get("database.url");
  if (url === undefined) {
    return openEmbedded({ directory: join(config.home, "database"), cache: config.cache, onStep });
  }
  onStep("opening Postgres");
  return openPostgres({ url, connections: config.get("database.connections") });
}

async function freeDisk(home: string): Promise<{ diskMib: number }> {
  const { bavail, bsize } = await statfs(home);
  return { diskMib: Math.min(67_108_864, Math.floor((bavail * bsize) / 1_048_576)) };
}

/** Lets requests end for a while, then cuts what is left: followers would stay for ever. */
async function closeHttp(
  app: { close(): Promise<unknown>; server: NodeServer },
  graceMs: number,
): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
  app.server.closeIdleConnections();
  await app.close();
  clearTimeout(cut);
}

function urlOf(server: NodeServer, host: string): string {
  const { port, family } = server.address() as AddressInfo;
  const shown = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return `http://${family === "IPv6" && shown.includes(":") ? `[${shown}]` : shown}:${port}`;
}
