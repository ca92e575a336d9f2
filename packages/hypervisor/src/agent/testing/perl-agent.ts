import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { TestContext } from "vitest";
import type { ByteChannel } from "../channel.ts";
import { AgentClient } from "../client.ts";

const AGENT = fileURLToPath(new URL("../../../../images/guest/queztl-agent.pl", import.meta.url));

/** Why the agent cannot run on this computer; undefined where it can. */
export function agentUnavailable(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "it needs Linux on x86-64";
  const { status } = spawnSync("perl", ["-e", "exit($] < 5.010)"]);
  return status === 0 ? undefined : "there is no perl";
}

/** The real agent as a process of this computer, and a channel to it that outlives it. */
export class PerlAgent implements ByteChannel, AsyncDisposable {
  #process: ChildProcess | undefined;
  #listener: ((bytes: Uint8Array) => void) | undefined;
  /** What the agent had to complain about. */
  complaints = "";

  constructor() {
    this.start();
  }

  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  start(): void {
    const agent = spawn("perl", [AGENT, "--stdio"], { stdio: ["pipe", "pipe", "pipe"] });
    agent.stdout.on("data", (bytes: Buffer) => this.#listener?.(bytes));
    agent.stderr.on("data", (bytes: Buffer) => (this.complaints += String(bytes)));
    agent.stdin.on("error", () => undefined);
    this.#process = agent;
  }

  async kill(): Promise<void> {
    const agent = this.#process;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const gone = once(agent, "exit");
    agent.kill("SIGKILL");
    await gone;
  }

  write(bytes: Uint8Array): Promise<void> {
    const stdin = this.#process?.stdin;
    // The callback comes when it was written, or never will be.
    return new Promise((resolve) => {
      if (!stdin?.writable) return resolve();
      stdin.write(bytes, () => resolve());
    });
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#listener = listener;
  }

  /** Ends the agent's input, upon which it ends. */
  async close(): Promise<void> {
    const agent = this.#process;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const gone = once(agent, "exit");
    agent.stdin?.end();
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a test with the real agent works with. */
export interface AgentFixtures {
  readonly agent: PerlAgent;
  readonly client: AgentClient;
}

/** For `test.extend`; the tests are skipped, with the reason said aloud, where there is no perl. */
export const agentFixtures = {
  agent: async (
    { skip }: Pick<TestContext, "skip">,
    use: (agent: PerlAgent) => Promise<void>,
  ): Promise<void> => {
    const unavailable = agentUnavailable();
    if (unavailable !== undefined) {
      console.log(`skipped, the guest agent cannot run: ${unavailable}`);
      return skip(unavailable);
    }
    await using agent = new PerlAgent();
    await use(agent);
    // A warning of Perl is a mistake in the agent.
    if (agent.complaints !== "") throw new Error(agent.complaints);
  },
  client: async (
    { agent }: Pick<AgentFixtures, "agent">,
    use: (client: AgentClient) => Promise<void>,
  ): Promise<void> => {
    await using client = await AgentClient.connect(agent);
    await use(client);
  },
};
