import { createReadStream } from "node:fs";
import { appendFile, mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { LogChunk } from "@queztl/api";

type Stream = LogChunk["stream"];

/** Which pieces of a log are wanted. */
export interface LogRange {
  readonly streams?: readonly Stream[] | undefined;
  /** Begin so many pieces before the end; at the beginning, or after `after`, unless given. */
  readonly tail?: number | undefined;
  /** The id of a piece, or the cursor of a page. */
  readonly after?: string | undefined;
}

const LONGEST_PIECE = 65_536;
const MIB = 1_048_576;

/**
 * A log as a file of JSON lines that is only ever appended to. A piece's id is the place where the next line begins,
 * so that any reader resumes by looking there.
 */
export class LogFile {
  readonly #path: string;
  readonly #mostBytes: number;
  readonly #decoders = new Map<Stream, TextDecoder>();
  readonly #waiting = new Set<() => void>();
  #bytes: number | undefined;
  #full = false;
  #last: Promise<void> = Promise.resolve();
  #open = true;

  constructor(path: string, options: { mostMib: number }) {
    this.#path = path;
    this.#mostBytes = options.mostMib * MIB;
  }

  /** Appends bytes of a program's; half a character waits for its rest. */
  write(stream: Stream, data: Uint8Array): Promise<void> {
    let decoder = this.#decoders.get(stream);
    if (decoder === undefined) this.#decoders.set(stream, (decoder = new TextDecoder()));
    return this.say(stream, decoder.decode(data, { stream: true }));
  }

  /** Appends text. */
  say(stream: Stream, text: string): Promise<void> {
    const lines: string[] = [];
    for (let at = 0; at < text.length; at += LONGEST_PIECE) {
      const piece = text.slice(at, at + LONGEST_PIECE);
      lines.push(`${JSON.stringify({ a: Date.now(), s: stream, t: piece })}\n`);
    }
    if (lines.length === 0) return this.#last;
    this.#last = this.#last.then(() => this.#append(lines));
    return this.#last;
  }

  /** Nothing more will come: whoever follows is sent off. */
  async end(): Promise<void> {
    await this.#last;
    this.#open = false;
    this.#wake();
  }

  reopen(): void {
    this.#open = true;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get isFollowed(): boolean {
    return this.#waiting.size > 0;
  }

  /** Pieces of the log, and where to go on. */
  async read(range: LogRange, limit: number): Promise<{ items: LogChunk[]; next: string | null }> {
    let from = await this.#begin(range);
    const items: LogChunk[] = [];
    for await (const { line, end } of this.#lines(from)) {
      const piece = pieceOf(line, end, range.streams);
      if (piece !== undefined) {
        if (items.length === limit) return { items, next: idOf(from) };
        items.push(piece);
      }
      from = end;
    }
    return { items, next: null };
  }

  /** Pieces as they come, to the log's end. */
  async *follow(range: LogRange, signal: AbortSignal): AsyncGenerator<LogChunk> {
    let from = await this.#begin(range);
    while (!signal.aborted) {
      const open = this.#open;
      for await (const { line, end } of this.#lines(from)) {
        from = end;
        const piece = pieceOf(line, end, range.streams);
        if (piece !== undefined) yield piece;
        if (signal.aborted) return;
      }
      if (!open) return;
      await this.#grown(from, signal);
    }
  }

  async #append(lines: readonly string[]): Promise<void> {
    if (this.#full) return;
    if (this.#bytes === undefined) {
      await mkdir(dirname(this.#path), { recursive: true });
      this.#bytes = await this.#mended();
    }
    let text = lines.join("");
    if (this.#bytes + text.length > this.#mostBytes) {
      this.#full = true;
      const note = `[the log ends here: it has ${this.#mostBytes / MIB} MiB]\n`;
      text = `${JSON.stringify({ a: Date.now(), s: "system", t: note })}\n`;
    }
    await appendFile(this.#path, text);
    this.#bytes += Buffer.byteLength(text);
    this.#wake();
  }

  /** What a killed server wrote half is ended with a line break, and read as nothing. */
  async #mended(): Promise<number> {
    const size = (await stat(this.#path).catch(() => undefined))?.size ?? 0;
    if (size === 0) return 0;
    const file = await open(this.#path, "r+");
    try {
      const last = Buffer.alloc(1);
      await file.read(last, 0, 1, size - 1);
      if (last[0] === 0x0a) return size;
      await file.write("\n", size);
      return size + 1;
    } finally {
      await file.close();
    }
  }

  async #begin({ tail, after, streams }: LogRange): Promise<number> {
    const given = /^log-(\d{1,15})$/.exec(after ?? "")?.[1];
    if (given !== undefined) return Number(given);
    if (tail === undefined) return 0;
    const starts: number[] = [];
    let at = 0;
    for await (const { line, end } of this.#lines(0)) {
      if (pieceOf(line, end, streams) !== undefined) starts.push(at);
      if (starts.length > tail) starts.shift();
      at = end;
    }
    return starts[0] ?? at;
  }

  async *#lines(from: number): AsyncGenerator<{ line: string; end: number }> {
    let rest: Buffer = Buffer.alloc(0);
    let at = from;
    try {
      for await (const chunk of createReadStream(this.#path, { start: from })) {
        rest = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
        let start = 0;
        for (let end = rest.indexOf(0x0a, start); end >= 0; end = rest.indexOf(0x0a, start)) {
          at += end + 1 - start;
          yield { line: rest.toString("utf8", start, end), end: at };
          start = end + 1;
        }
        rest = rest.subarray(start);
      }
    } catch (cause) {
      // Nothing was written yet.
      if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) throw cause;
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #grown(from: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || !this.#open || (this.#bytes ?? 0) > from) return resolve();
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

const idOf = (offset: number) => `log-${offset}`;

function pieceOf(
  line: string,
  end: number,
  streams: readonly Stream[] | undefined,
): LogChunk | undefined {
  let parsed: { a?: unknown; s?: unknown; t?: unknown };
  try {
    parsed = JSON.parse(line) as typeof parsed;
  } catch {
    return undefined;
  }
  const stream = parsed.s as Stream;
  if (streams !== undefined && !streams.includes(stream)) return undefined;
  return {
    id: idOf(end),
    at: new Date(Number(parsed.a)).toISOString(),
    stream,
    text: String(parsed.t),
  };
}
