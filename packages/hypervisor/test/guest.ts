import { readFile } from "node:fs/promises";
import type { Flavour } from "@queztl/images";
import { buildImage } from "@queztl/images/node";
import type { GuestImage } from "@queztl/images/node";
import { Machine } from "../src/index.ts";
import type { MachineEnd, MachineKernel, MachineOptions } from "../src/index.ts";

/** The prompt of the image's shell; it asks the terminal where the cursor is right behind it. */
export const PROMPT = ":~# ";

/** The default image, or why it cannot be had here. */
export async function imageOf(flavour: Flavour): Promise<GuestImage | string> {
  try {
    return await buildImage({ flavour });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The image's kernel and initramfs, read. */
export async function kernelOf(image: GuestImage, append = ""): Promise<MachineKernel> {
  return {
    kernel: await readFile(image.kernel.path),
    initrd: await readFile(image.initramfs.path),
    commandLine: `console=ttyS0 ${append}`.trim(),
  };
}

/** The text of a serial console, and waiting for what comes. */
export class Console {
  #text = "";
  #pieces: string[] = [];
  #from = 0;
  #scheduled = false;
  readonly #decoder = new TextDecoder("latin1");
  readonly #waiting = new Set<() => void>();

  /** Guests write byte by byte: the text is put together once a turn of the event loop. */
  readonly take = (bytes: Uint8Array): void => {
    this.#pieces.push(this.#decoder.decode(bytes));
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const look of this.#waiting) look();
    });
  };

  /** All that came. */
  get text(): string {
    if (this.#pieces.length > 0) this.#text += this.#pieces.splice(0).join("");
    return this.#text;
  }

  /** Resolves with what came since the last wait, up to and with `what`; rejects when the machine ends or time is up. */
  async until(what: string, machine: Machine, timeoutMs = 180_000): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    let look: (() => void) | undefined;
    const found = new Promise<string>((resolve, reject) => {
      const fail = (why: string, cause?: Error): void => {
        const words = `${why} before ${JSON.stringify(what)}:\n${this.text.slice(-2000)}`;
        reject(new Error(words, { cause }));
      };
      look = () => {
        const at = this.text.indexOf(what, this.#from);
        if (at < 0) return;
        const from = this.#from;
        this.#from = at + what.length;
        resolve(this.text.slice(from, this.#from));
      };
      timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
      const atEnd = (end: MachineEnd): void => {
        look?.();
        fail(`the machine ended (${end.reason})`, end.reason === "failure" ? end.error : undefined);
      };
      void machine.ended.then(atEnd);
      look();
      this.#waiting.add(look);
    });
    return found.finally(() => {
      clearTimeout(timer);
      if (look) this.#waiting.delete(look);
    });
  }
}

/** A machine with the default image, and its shell. */
export class Guest implements AsyncDisposable {
  readonly machine: Machine;
  readonly console: Console;
  /** Host seconds from the start to the first line of init and to the prompt. */
  seconds = { init: Number.NaN, prompt: Number.NaN };
  #commands = 0;

  private constructor(machine: Machine, console: Console) {
    this.machine = machine;
    this.console = console;
  }

  /** Boots to the shell's prompt. */
  static async boot(
    options: MachineOptions,
    timeoutMs = 120_000,
    console = new Console(),
  ): Promise<Guest> {
    const machine = await Machine.create({ ...options, onSerial: console.take });
    const guest = new Guest(machine, console);
    const started = performance.now();
    const since = (): number => Math.round((performance.now() - started) / 100) / 10;
    machine.start();
    await console.until("queztl: init", machine, timeoutMs);
    guest.seconds.init = since();
    await console.until(PROMPT, machine, timeoutMs);
    guest.seconds.prompt = since();
    return guest;
  }

  /** A guest that is at its prompt already. */
  static at(machine: Machine, console: Console): Guest {
    return new Guest(machine, console);
  }

  /** Types a command and resolves with what it printed. */
  async run(command: string, timeoutMs = 180_000): Promise<string> {
    // The marks are typed in two halves, so that the echo of what is typed is none.
    const mark = `<${this.#commands++}>`;
    const [a, b] = [mark.slice(0, 1), mark.slice(1)];
    await this.type(`echo '${a}''${b}'; ${command}; echo '${a}/''${b}'`);
    await this.console.until(`\n${mark}\r\n`, this.machine, timeoutMs);
    const end = `${a}/${b}\r\n`;
    const output = await this.console.until(end, this.machine, timeoutMs);
    await this.console.until(PROMPT, this.machine, timeoutMs);
    return output.slice(0, -end.length).replaceAll("\r\n", "\n").trimEnd();
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    await this.machine.serial.send(Buffer.from(`${line}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.stop();
  }
}
