import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";

const LIMIT_MS = 600_000;

/** What a command printed, and how long it took by the host's clock: a guest's own may run as it likes. */
export interface TimedOutput {
  readonly output: string;
  readonly seconds: number;
}

/**
 * A shell at the other end of a process's standard input and output: on the serial console of a virtual machine, or on
 * this computer.
 */
export class GuestShell {
  readonly #child: ChildProcess;
  #text = "";
  #from = 0;
  #look: () => void = () => undefined;
  #commands = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (data: Buffer) => {
      // Terminals end lines with both.
      this.#text += data.toString("latin1").replaceAll("\r", "");
      this.#look();
    });
    child.stderr?.on("data", (data: Buffer) => (this.#text += data.toString("latin1")));
    // A machine that is up keeps no bench from its end.
    child.unref();
    for (const pipe of [child.stdin, child.stdout, child.stderr]) (pipe as Socket | null)?.unref();
  }

  /** Starts the program and waits for the guest's shell. */
  static async boot(program: string, args: readonly string[]): Promise<GuestShell> {
    const guest = new GuestShell(spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] }));
    await guest.#until(":~# ");
    // No line editing and no echo: what comes is what commands print.
    guest.#type("exec sh");
    guest.#type("stty -echo; PS1=; mount -t tmpfs tmpfs /tmp");
    await guest.run("true");
    return guest;
  }

  /** A shell of this computer. */
  static host(): GuestShell {
    return new GuestShell(spawn("sh", [], { stdio: ["pipe", "pipe", "pipe"] }));
  }

  /** Types a command and resolves with what it printed. */
  async run(command: string): Promise<string> {
    return (await this.time(command)).output;
  }

  /** Types a command and resolves with what it printed between two marks, and the time between them. */
  async time(command: string): Promise<TimedOutput> {
    const [begin, end] = ["beg", "end"].map((word) => `${word}-${this.#commands}\n`) as [
      string,
      string,
    ];
    this.#commands++;
    // In two halves, so that an echo of what is typed is no mark.
    const say = (mark: string): string => `echo ${mark.slice(0, 2)}''${mark.slice(2, -1)}`;
    this.#type(`${say(begin)}; ${command}; ${say(end)}`);
    await this.#until(begin);
    const started = performance.now();
    const text = await this.#until(end);
    const seconds = (performance.now() - started) / 1000;
    return { output: text.slice(0, -end.length).trim(), seconds };
  }

  /** Ends the process. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  #until(what: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`${why} before ${what}: ${this.#text.slice(-1000)}`));
      const timer = setTimeout(() => fail("time was up"), LIMIT_MS);
      const ended = (): void => fail("the machine ended");
      this.#child.once("close", ended);
      this.#look = () => {
        const at = this.#text.indexOf(what, this.#from);
        if (at < 0) return;
        clearTimeout(timer);
        this.#child.off("close", ended);
        const end = at + what.length;
        const found = this.#text.slice(this.#from, end);
        this.#from = end;
        resolve(found);
      };
      this.#look();
    });
  }
}
