import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";
import { root, typing } from "./cli.ts";

/** How long a VM on the emulator may take for anything. */
export const PATIENCE = { timeout: 180_000, interval: 100 };

const begun: Running[] = [];

/** Ends what a failed test has left running. */
export function endAll(): void {
  for (const each of begun) if (each.code === undefined) each.interrupt();
}

/** A command that runs beside the test, in a process of its own. */
export class Running {
  readonly #child: ReturnType<typeof spawn>;
  stdout = "";
  stderr = "";
  code: number | undefined;

  constructor(...words: readonly string[]) {
    begun.push(this);
    typing(words);
    const main = join(root, "src/main.ts");
    this.#child = spawn(process.execPath, ["--conditions=@queztl/source", main, ...words]);
    this.#child.stdout?.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.#child.stderr?.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
    this.#child.on("close", (code) => (this.code = code ?? -1));
  }

  /** Types into it and ends its input. */
  type(text: string): void {
    this.#child.stdin?.end(text);
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** Resolves once it has written that. */
  async writes(text: string): Promise<void> {
    await vi.waitUntil(() => `${this.stdout}${this.stderr}`.includes(text), PATIENCE);
  }

  async ends(): Promise<number> {
    return vi
      .waitUntil(() => this.code !== undefined && { code: this.code }, PATIENCE)
      .then(({ code }) => code);
  }
}

/** A port of this computer that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
