import { type Command, Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { collect, type ListPage } from "../command-line/pages.ts";
import { QueztlCommand } from "../command.ts";
import type { LogChunk } from "../resources.ts";
import { printable } from "../view/printable.ts";

type LogInput = Pick<InputOf<"task.logs">, "streams" | "tail">;

const STREAMS = ["console", "stdout", "stderr", "system"] as const;
// The contract's largest tail; without one a log is read from its beginning.
const MOST_TAIL = 10_000;

/** The flags of commands that show logs. */
export const logFlags = {
  follow: Flags.boolean({ char: "f", default: false, summary: "Go on with what comes" }),
  tail: Flags.integer({
    char: "n",
    min: 0,
    max: MOST_TAIL,
    helpValue: "N",
    summary: "Begin this many pieces before the end",
  }),
  stream: Flags.option({ options: STREAMS, multiple: true, multipleNonGreedy: true })({
    char: "s",
    summary: "Only what was written there",
  }),
  timestamps: Flags.boolean({ default: false, summary: "Say when each piece was written" }),
  raw: Flags.boolean({
    default: false,
    summary: "Leave control characters in, which can play tricks on a terminal",
  }),
};

/** Where a log comes from. */
export interface LogSource {
  readonly page: (
    input: LogInput & { limit: number; cursor?: string },
  ) => Promise<ListPage<LogChunk>>;
  readonly follow: (
    input: LogInput,
    signal: AbortSignal,
  ) => AsyncIterable<{ readonly data: LogChunk }>;
}

/** A command that shows a log. */
export abstract class LogCommand<Class extends typeof Command> extends QueztlCommand<Class> {
  #atLineStart = true;

  /** Shows what a log holds, and with `--follow` what comes. */
  protected async showLog(
    source: LogSource,
    flags: {
      readonly follow: boolean;
      readonly tail: number | undefined;
      readonly stream: readonly (typeof STREAMS)[number][] | undefined;
      readonly timestamps: boolean;
      readonly raw: boolean;
    },
  ): Promise<void> {
    const { follow, tail, stream } = flags;
    const wanted: LogInput = {
      ...(tail === undefined ? {} : { tail }),
      ...(stream === undefined ? {} : { streams: [...stream] }),
    };
    if (!follow) {
      if (tail === 0) return;
      const list = await collect(tail ?? Number.POSITIVE_INFINITY, (page) =>
        source.page({ ...wanted, ...page }),
      );
      if (this.format === "json" || this.format === "yaml") {
        await this.show({ text: () => "", names: () => [] }, list);
      } else for (const chunk of list.items) this.writeChunk(chunk, flags);
      return this.endLine();
    }
    const { signal } = this;
    try {
      for await (const { data } of source.follow(wanted, signal)) {
        // Follows have no end for a document to be closed at: one object a line.
        if (this.format === "json") this.write(`${JSON.stringify(data)}\n`);
        else this.writeChunk(data, flags);
      }
    } catch (failure) {
      if (!signal.aborted) throw failure;
    }
    this.endLine();
  }

  private writeChunk(
    { at, stream, text }: LogChunk,
    { raw, timestamps }: { readonly raw: boolean; readonly timestamps: boolean },
  ): void {
    const shown = raw ? text : printable(text);
    if (!timestamps) {
      this.write(shown);
      if (shown !== "") this.#atLineStart = shown.endsWith("\n");
      return;
    }
    const { paint } = this.page;
    for (const line of shown.replace(/\n$/, "").split("\n")) {
      this.write(`${paint("dim", `${at} ${stream}`)} ${line}\n`);
    }
  }

  /** A prompt must not stand at the end of a guest's last line. */
  private endLine(): void {
    if (!this.#atLineStart && process.stdout.isTTY) this.write("\n");
  }
}
