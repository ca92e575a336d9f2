import { QueztlCommand } from "../command.ts";
import { queztlHome } from "../context/contexts.ts";
import { qctlErrors } from "../errors.ts";
import {
  DEFAULT_PORT,
  forgetRecord,
  isRunning,
  runningServer,
  serverPaths,
} from "../local/server-record.ts";
import type { View } from "../view/view.ts";
import { healthOf } from "../local/health.ts";
import { sleep } from "../session/wait.ts";

/** What became of the server. */
interface Stopped {
  readonly server: string | null;
  readonly pid: number | null;
  readonly stopped: boolean;
}

const stoppedView: View<Stopped> = {
  text: ({ server }) => (server === null ? "" : `${server} is down`),
  names: ({ server }) => (server === null ? [] : [server]),
};

const LONGEST_STOP_SECONDS = 60;

export default class Down extends QueztlCommand<typeof Down> {
  static override summary = "Stop the server that `up` started";
  static override description =
    "VMs go on without it; the next server takes them over. Stop or destroy them before, where they are not to.";
  static override examples = ["<%= config.bin %> down"];

  async run(): Promise<Stopped> {
    const paths = serverPaths(queztlHome(process.env));
    const server = runningServer(paths);
    if (server === undefined) {
      forgetRecord(paths);
      const url = `http://127.0.0.1:${DEFAULT_PORT}`;
      if ((await healthOf(url)) === "ready")
        throw qctlErrors("QZ_QCTL_SERVER_FOREIGN", { server: url });
      this.say("no server runs here");
      return { server: null, pid: null, stopped: false };
    }
    const going = await this.whatGoesOn();
    process.kill(server.pid, "SIGTERM");
    await this.busy("stopping the server", this.awaitEnd(server));
    forgetRecord(paths);
    const stopped = { server: server.url, pid: server.pid, stopped: true };
    await this.show(stoppedView, stopped);
    if (going > 0) {
      this.say(
        `${going} ${going === 1 ? "VM goes" : "VMs go"} on without it; \`qctl up\` takes over again`,
      );
    }
    return stopped;
  }

  private async awaitEnd(server: {
    readonly pid: number;
    readonly started: string;
    readonly url: string;
  }) {
    const seconds = this.timeoutSeconds ?? LONGEST_STOP_SECONDS;
    const until = performance.now() + seconds * 1000;
    while (isRunning(server)) {
      if (performance.now() > until)
        throw qctlErrors("QZ_QCTL_TIMEOUT", { what: `stopping ${server.url}`, seconds });
      await sleep(100, this.signal);
    }
  }

  private async whatGoesOn(): Promise<number> {
    try {
      const client = await this.connect();
      const { vms } = await client.stats.get.query({});
      return (vms["running"] ?? 0) + (vms["paused"] ?? 0);
    } catch {
      // Only a kindness: whoever has no token may stop his server all the same.
      return 0;
    }
  }
}
