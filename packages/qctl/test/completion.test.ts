import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "@lydell/node-pty";
import { createQueztlClient } from "@queztl/api/client";
import {
  ADMIN_TOKEN,
  createFakeServices,
  startTestServer,
  type TestServer,
} from "@queztl/api/testing";
import { Terminal } from "@xterm/headless";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { root } from "./support/cli.ts";

const home = mkdtempSync(join(tmpdir(), "qctl-completion-"));
const bin = join(home, "bin");
const PATIENCE = { timeout: 60_000, interval: 50 };
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(createFakeServices());
  const client = createQueztlClient({ url: server.url, token: ADMIN_TOKEN });
  await client.vm.create.mutate({ name: "web", cpu: 1, memoryMib: 512 });
  mkdirSync(bin);
  const program = `#!/bin/sh\nexec "${process.execPath}" --conditions=@queztl/source "${join(root, "src/main.ts")}" "$@"\n`;
  writeFileSync(join(bin, "qctl"), program);
  chmodSync(join(bin, "qctl"), 0o755);
  writeFileSync(join(home, "survey.csv"), "");
});
afterAll(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** Each as a person has it who has configured nothing, but for what it would say of its own. */
const SHELLS = [
  { shell: "bash", words: ["--norc", "-i"], load: "source <(qctl completion bash)" },
  {
    shell: "zsh",
    words: ["-f", "-i"],
    load: "autoload -Uz compinit; compinit -u -D; source <(qctl completion zsh)",
  },
  {
    shell: "fish",
    words: ["--no-config", "-i"],
    load: "set -g fish_autosuggestion_enabled 0; qctl completion fish | source",
  },
];
const isThere = (shell: string) => spawnSync(shell, ["-c", "exit"]).status === 0;

// zsh and fish are Debian packages of the same names; without them these two are skipped.
for (const { shell, words, load } of SHELLS) {
  test.skipIf(!isThere(shell))(
    `${shell} itself, at TAB → commands, flags, VMs, files`,
    { timeout: 180_000 },
    async () => {
      const screen = new Terminal({ cols: 100, rows: 40, allowProposedApi: true });
      const terminal = spawn(shell, words, {
        cols: 100,
        rows: 40,
        cwd: home,
        env: {
          PATH: `${bin}:${process.env["PATH"]}`,
          HOME: home,
          PS1: "> ",
          TERM: "xterm",
          LC_ALL: "C.UTF-8",
          QUEZTL_HOME: home,
          QUEZTL_SERVER: server.url,
          QUEZTL_TOKEN: ADMIN_TOKEN,
        },
      });
      terminal.onData((text) => screen.write(text));
      const ended = new Promise((resolve) => terminal.onExit(resolve));
      const shown = () => {
        const { active } = screen.buffer;
        return Array.from({ length: active.length }, (_, at) =>
          active.getLine(at)?.translateToString(true),
        ).join("\n");
      };
      const sees = (text: string) =>
        vi.waitFor(() => expect(shown().trimEnd()).toContain(text), PATIENCE);
      terminal.write(`${load}; echo loa''ded\r`);
      await sees("\nloaded");
      terminal.write("qctl vm resu\t");
      await sees("qctl vm resume");
      terminal.write("we\t");
      await sees("qctl vm resume web");
      terminal.write("\u0015qctl vm list --sta\t");
      await sees("qctl vm list --state");
      terminal.write("\u0015qctl task submit x --file sur\t");
      await sees("qctl task submit x --file survey.csv");
      terminal.write("\u0015exit\r");
      await ended;
    },
  );
}
