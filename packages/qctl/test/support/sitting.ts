import { join } from "node:path";
import { type IPty, spawn } from "@lydell/node-pty";
import { Terminal } from "@xterm/headless";
import { root, typing } from "./cli.ts";

export const PATIENCE = { timeout: 60_000, interval: 50 };

/** How somebody sits there. */
export interface SittingOptions {
  readonly columns?: number;
  readonly environment?: NodeJS.ProcessEnv;
  /** How long anything may take, in milliseconds. */
  readonly patience?: number;
}

const sittings: Sitting[] = [];

/** Ends what failed tests have left. */
export function leaveAll(): void {
  for (const sitting of sittings) sitting.leave();
}

/** A person at a terminal who has typed a command. */
export class Sitting {
  readonly #pty: IPty;
  readonly #screen: Terminal;
  readonly #patience: number;
  /** Everything that came, escape sequences and all. */
  raw = "";
  code: number | undefined;

  constructor(argv: readonly string[], options: SittingOptions = {}) {
    const { columns = 80, environment = {}, patience = PATIENCE.timeout } = options;
    const main = join(root, "src/main.ts");
    typing(argv);
    sittings.push(this);
    this.#patience = patience;
    this.#screen = new Terminal({ cols: columns, rows: 24, allowProposedApi: true });
    this.#pty = spawn(process.execPath, ["--conditions=@queztl/source", main, ...argv], {
      cols: columns,
      rows: 24,
      env: { PATH: process.env["PATH"], TERM: "xterm-256color", ...environment },
    });
    this.#pty.onData((text) => {
      this.raw += text;
      this.#screen.write(text);
    });
    this.#pty.onExit(({ exitCode }) => (this.code = exitCode));
  }

  /** What the terminal shows, scrolled-away lines included. */
  get shown(): string {
    const { active } = this.#screen.buffer;
    let text = "";
    for (let at = 0; at < active.length; at += 1) {
      const line = active.getLine(at);
      text += `${line?.isWrapped === true ? "" : "\n"}${line?.translateToString(true) ?? ""}`;
    }
    return text.trim();
  }

  leave(): void {
    if (this.code === undefined) this.#pty.kill();
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  async sees(text: string | RegExp): Promise<void> {
    await this.#until(
      () => (typeof text === "string" ? this.shown.includes(text) : text.test(this.shown)),
      () => `${String(text)} did not appear in\n${this.shown}`,
    );
  }

  async ends(): Promise<number> {
    await this.#until(
      () => this.code !== undefined,
      () => `it did not end\n${this.shown}`,
    );
    return this.code ?? -1;
  }

  async #until(met: () => boolean, problem: () => string): Promise<void> {
    for (const end = performance.now() + this.#patience; !met();) {
      if (performance.now() > end) throw new Error(problem());
      await new Promise((resolve) => setTimeout(resolve, PATIENCE.interval));
    }
  }
}
