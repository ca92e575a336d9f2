import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

const LIMIT_MS = 600_000;

/** A virtual machine in a process of its own, whose serial console is the process's standard input and output. */
export class GuestShell {
  readonly #child: ChildProcess;
  #text = "";
  #from = 0;
  #look: () => void = () => undefined;
  #commands = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (data: Buffer) => {
      this.#text += data.toString("latin1");
      this.#look();
    });
    child.stderr?.on("data", (data: Buffer) => (this.#text += data.toString("latin1")));
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

  /** Types a command and resolves with what it printed. */
  async run(command: string): Promise<string> {
    const mark = `end-${this.#commands++}`;
    // In two halves, so that an echo of what is typed is no mark.
    this.#type(`${command}; echo en''${mark.slice(2)}`);
    const text = await this.#until(mark);
    return text.slice(0, -mark.length).replaceAll("\r\n", "\n").trim();
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
