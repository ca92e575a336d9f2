import { isQueztlError } from "@queztl/errors";
import { QueztlCommand } from "../command.ts";
import { queztlHome } from "../context/contexts.ts";
import { EXIT_CODES } from "../exit-codes.ts";
import { healthOf } from "../local/health.ts";
import { runningServer, serverPaths } from "../local/server-record.ts";
import { type ServerStatus, statusView } from "../view/facts.ts";

export default class Status extends QueztlCommand<typeof Status> {
  static override summary = "Show whether the server is up, and which one it is";
  static override description =
    "Ends with 0 where it is up, with 4 where it refuses the token, with 6 where it is not.";
  static override examples = ["<%= config.bin %> status", "<%= config.bin %> status -q && echo up"];

  async run(): Promise<ServerStatus> {
    const { server, context } = this.target;
    const local = runningServer(serverPaths(queztlHome(process.env)));
    const known = {
      server,
      context: context ?? null,
      pid: local?.url === server.replace(/\/+$/, "") ? local.pid : null,
    };
    const status = { ...nothing, ...known, ...(await this.look(server)) };
    await this.show(statusView, status);
    if (status.state === "refused") this.exit(EXIT_CODES.unauthorised.code);
    if (status.state !== "up") this.exit(EXIT_CODES.unavailable.code);
    return status;
  }

  private async look(server: string): Promise<Partial<ServerStatus>> {
    try {
      const client = await this.connect();
      const { version, uptimeSeconds, database, vms, tasks } = await client.stats.get.query({});
      const open = (tasks["queued"] ?? 0) + (tasks["preparing"] ?? 0) + (tasks["running"] ?? 0);
      const running = vms["running"] ?? 0;
      return { state: "up", version, uptimeSeconds, database, vms: running, tasks: open };
    } catch (failure) {
      if (!isQueztlError(failure)) throw failure;
      const { status, message: problem } = failure;
      if (status === "unauthorised" || status === "forbidden") return { state: "refused", problem };
      const state = (await healthOf(server)) === "starting" ? "starting" : "down";
      return { state, problem };
    }
  }
}

const nothing = {
  state: "down",
  version: null,
  uptimeSeconds: null,
  database: null,
  vms: null,
  tasks: null,
  problem: null,
} as const;
