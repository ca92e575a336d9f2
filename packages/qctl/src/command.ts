import { Command, Errors, Flags, type Interfaces } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { contextsPath, readContexts } from "./context/contexts.ts";
import { resolveTarget, type Target } from "./context/target.ts";
import { qctlErrors } from "./errors.ts";
import { EXIT_CODES } from "./exit-codes.ts";
import { debugText, type Report, reportOf, reportText } from "./failure.ts";
import { type Interruption, watchInterruption } from "./session/interruption.ts";
import type { LiveRegion } from "./session/live-region.ts";
import { parseDuration } from "./session/quantities.ts";
import { isLively, pageOf } from "./session/terminal.ts";
import { OUTPUT_FORMATS, type OutputFormat, type Page, rendered, type View } from "./view/view.ts";

const helpGroup = "GLOBAL";

/** A flag whose value is a duration such as `30s`; seconds. */
export const durationFlag = Flags.custom<number>({
  parse: async (text, _context, options) => parseDuration(text, `--${options.name}`),
  helpValue: "DURATION",
});

/** The flag of commands that destroy: `--yes`. */
export const yesFlag = Flags.boolean({
  char: "y",
  default: false,
  summary: "Do not ask, do it",
});

/** The flag of commands that show something that changes: `--watch`. */
export const watchFlag = Flags.boolean({
  char: "w",
  default: false,
  summary: "Show it again whenever it changes, until q or Ctrl-C",
});

const WATCH_PAUSE_MS = 2000;

/** The parsed flags of a command class. */
export type CommandFlags<Class extends typeof Command> = Interfaces.InferredFlags<
  (typeof QueztlCommand)["baseFlags"] & Class["flags"]
>;
/** The parsed arguments of a command class. */
export type CommandArgs<Class extends typeof Command> = Interfaces.InferredArgs<Class["args"]>;

/**
 * The base of every command, also of a plugin's: `class Hello extends QueztlCommand<typeof Hello>`. It
 * brings the flags that all commands have, the typed client of the chosen server, output in every
 * format, talk on standard error, and failures with their exit codes.
 */
export abstract class QueztlCommand<Class extends typeof Command = typeof Command> extends Command {
  static override baseFlags = {
    output: Flags.option({ options: OUTPUT_FORMATS })({
      char: "o",
      default: "text",
      helpGroup,
      helpValue: "FORMAT",
      summary: "How to show the answer: text, json, yaml, wide or name",
    }),
    quiet: Flags.boolean({
      char: "q",
      default: false,
      helpGroup,
      summary: "Say nothing but the answer and errors",
    }),
    timeout: durationFlag({ helpGroup, summary: "Give up after this long, such as 30s or 5m" }),
    context: Flags.string({
      helpGroup,
      helpValue: "NAME",
      summary: "Talk to the server of this context",
    }),
    server: Flags.string({ helpGroup, helpValue: "URL", summary: "Talk to this server" }),
    token: Flags.string({
      helpGroup,
      helpValue: "TOKEN",
      summary: "Use this token; better in QUEZTL_TOKEN, where `ps` does not show it",
    }),
    debug: Flags.boolean({
      default: false,
      helpGroup,
      summary: "Show where an error comes from",
    }),
  };

  protected flags!: CommandFlags<Class>;
  protected args!: CommandArgs<Class>;
  #interruption: Interruption | undefined;
  #region: LiveRegion | undefined;

  /** Parses the command line, so that `run` finds `flags` and `args`. */
  protected override async init(): Promise<void> {
    await super.init();
    const { baseFlags } = this.ctor.baseFlags === undefined ? QueztlCommand : this.ctor;
    const parsed = await this.parse({
      flags: this.ctor.flags,
      ...(baseFlags === undefined ? {} : { baseFlags }),
      args: this.ctor.args,
      strict: this.ctor.strict,
    });
    this.flags = parsed.flags as CommandFlags<Class>;
    this.args = parsed.args as CommandArgs<Class>;
  }

  /** The flags that every command has. */
  get #common(): Interfaces.InferredFlags<(typeof QueztlCommand)["baseFlags"]> {
    return this.flags;
  }

  protected get format(): OutputFormat {
    return this.#common.output;
  }

  /** `--timeout` in seconds, if given. */
  protected get timeoutSeconds(): number | undefined {
    return this.#common.timeout;
  }

  /** Standard output as a page. */
  protected get page(): Page {
    return { ...pageOf(process.stdout, process.env), wide: this.format === "wide" };
  }

  /** Standard error as a page. */
  protected get talkPage(): Page {
    return pageOf(process.stderr, process.env);
  }

  /** Whether progress is drawn: standard error is a terminal, and nobody asked for quiet. */
  protected get isLive(): boolean {
    return !this.#common.quiet && isLively(process.stderr, process.env);
  }

  /** The server that this command talks to. */
  protected get target(): Target {
    return resolveTarget(this.#common, process.env, readContexts(contextsPath(process.env)));
  }

  /** A typed client for that server. */
  protected async connect(target: Target = this.target): Promise<QueztlClient> {
    const { createQueztlClient } = await import("@queztl/api/client");
    const limit = this.timeoutSeconds;
    return createQueztlClient({
      url: target.server,
      token: target.token,
      ...(limit === undefined ? {} : { timeoutSeconds: limit }),
    });
  }

  /** Aborted by Ctrl-C. Whoever asks for it sees to the end himself; the second Ctrl-C ends all. */
  protected get signal(): AbortSignal {
    this.#interruption ??= watchInterruption();
    return this.#interruption.signal;
  }

  /** Writes data to standard output. Nothing else may. */
  protected write(data: string | Uint8Array): void {
    process.stdout.write(data);
  }

  /** Says something to whoever sits there, on standard error; nothing with `--quiet`. */
  protected say(text: string): void {
    if (this.#common.quiet) return;
    if (this.#region === undefined) process.stderr.write(`${text}\n`);
    else this.#region.say(text);
  }

  /** Shows an answer in the wanted format, and gives it back. */
  protected async show<Data>(view: View<Data>, data: Data): Promise<Data> {
    this.write(await rendered(view, data, this.format, this.page));
    return data;
  }

  /** Shows a list; on a terminal an empty one is told in words, on standard error. */
  protected async showList<Data extends { readonly items: readonly unknown[] }>(
    view: View<Data>,
    list: Data,
    nothing: string,
  ): Promise<Data> {
    if (list.items.length === 0 && this.format !== "json" && this.format !== "yaml") {
      this.say(nothing);
      return list;
    }
    await this.show(view, list);
    if (hasMore(list)) this.say("there are more; --limit shows them");
    return list;
  }

  /** Shows what `read` gives, with `--watch` again at each change. */
  protected async present<Data>(
    view: View<Data>,
    read: (signal?: AbortSignal) => Promise<Data>,
    watch: boolean,
    everyMs: number = WATCH_PAUSE_MS,
  ): Promise<Data> {
    if (!watch) return this.show(view, await read());
    const { watchView } = await import("./session/watch.ts");
    const { watchQuitKey } = await import("./session/quit-key.ts");
    const isLive = isLively(process.stdout, process.env) && this.format !== "json";
    const quit = new AbortController();
    const release = isLive ? watchQuitKey(() => quit.abort()) : undefined;
    try {
      return await watchView({
        read,
        text: (data) => rendered(view, data, this.format, this.page),
        stream: process.stdout,
        isLive,
        signal: AbortSignal.any([this.signal, quit.signal]),
        everyMs,
        onLost: (failure) => this.say(failure === undefined ? "connected again" : failure.message),
      });
    } finally {
      release?.();
    }
  }

  /** Does something that takes a while, under a spinner that says so. */
  protected async busy<Answer>(what: string, work: Promise<Answer>): Promise<Answer> {
    if (!this.isLive) return work;
    const started = performance.now();
    // What is over at once needs no spinner.
    const early = await Promise.race([
      work.then(
        () => true,
        () => true,
      ),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 200).unref()),
    ]);
    if (early) return work;
    const region = await this.openRegion();
    region.draw((spinner, { paint }) => {
      const seconds = Math.floor((performance.now() - started) / 1000);
      return `${spinner} ${what}${seconds < 2 ? "" : paint("dim", ` ${seconds}s`)}`;
    });
    try {
      return await work;
    } finally {
      this.closeRegion();
    }
  }

  /** Lines at the end of the terminal that are drawn again and again; one at a time. */
  protected async openRegion(): Promise<LiveRegion> {
    const { openLiveRegion } = await import("./session/live-region.ts");
    this.#region = await openLiveRegion(process.stderr, () => this.talkPage);
    return this.#region;
  }

  protected closeRegion(last?: string): void {
    this.#region?.close(last);
    this.#region = undefined;
  }

  /** Asks before something is destroyed. Throws where nobody can be asked, or where the answer is no. */
  protected async confirm(question: string, yes: boolean): Promise<void> {
    if (yes) return;
    if (!process.stdin.isTTY || !process.stderr.isTTY) {
      throw qctlErrors("QZ_QCTL_CONFIRMATION_MISSING", { question });
    }
    const { createInterface } = await import("node:readline/promises");
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    try {
      const answer = await reader.question(`${question} [y/N] `, { signal: this.signal });
      if (/^y(?:es)?$/i.test(answer.trim())) return;
    } catch {
      process.stderr.write("\n");
    } finally {
      reader.close();
    }
    throw qctlErrors("QZ_QCTL_DECLINED");
  }

  /** Tells a failure on standard error and ends with its exit code. */
  protected override async catch(failure: Interfaces.CommandError): Promise<never> {
    this.closeRegion();
    if (failure instanceof Errors.ExitError) throw failure;
    const parsed: Partial<typeof this.flags> | undefined = this.flags;
    const debug = parsed === undefined ? this.argv.includes("--debug") : this.#common.debug;
    const report = reportOf(failure);
    const asJson = parsed !== undefined && (this.format === "json" || this.format === "yaml");
    process.stderr.write(
      asJson
        ? `${JSON.stringify({ error: { ...report } })}\n`
        : `${reportText(report, this.config.bin, this.talkPage)}\n`,
    );
    if (report.exitCode === EXIT_CODES.usage.code && report.code === undefined) {
      const id = this.id?.replaceAll(":", this.config.topicSeparator) ?? "";
      process.stderr.write(`→ \`${this.config.bin} ${id} --help\` shows how it is used\n`);
    }
    if (debug) process.stderr.write(`${debugText(failure)}\n`);
    return this.exit(this.exitCodeFor(report));
  }

  /** The exit code of a failure; for commands that have their own. */
  protected exitCodeFor({ exitCode }: Report): number {
    return exitCode;
  }

  protected override async finally(failure: Error | undefined): Promise<void> {
    this.closeRegion();
    this.#interruption?.release();
    await super.finally(failure);
  }
}

const hasMore = (list: object): boolean =>
  "nextCursor" in list && list.nextCursor !== null && list.nextCursor !== undefined;
