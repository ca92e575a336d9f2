import { parseProgress, type Progress, PROGRESS_PREFIX } from "@queztl/skills";

const LONGEST_LINE = 4096;
const LEAST_MS = 500;
const PREFIX = Buffer.from(PROGRESS_PREFIX);
const LINE_FEED = 0x0a;

/**
 * Takes a skill's words about its progress out of what it writes, and tells them, but not too often. What is no such
 * word passes through as it is.
 */
export class ProgressLines {
  readonly #tell: (progress: Progress) => void;
  /** The begin of a line that may be such a word. */
  #held: Buffer = Buffer.alloc(0);
  #inLine = false;
  #toldAt = 0;
  #refusal: string | undefined;

  constructor(tell: (progress: Progress) => void) {
    this.#tell = tell;
  }

  /** What the skill said was wrong with its input. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Reads a piece of output; gives what of it is not about progress. */
  take(bytes: Uint8Array, now = Date.now()): Uint8Array {
    let rest = Buffer.concat([this.#held, bytes]);
    this.#held = Buffer.alloc(0);
    const other: Buffer[] = [];
    while (rest.length > 0) {
      const end = rest.indexOf(LINE_FEED);
      const line = end < 0 ? rest : rest.subarray(0, end + 1);
      if (!this.#inLine && this.#mayBeOurs(line)) {
        if (end < 0) {
          this.#held = line;
          break;
        }
        if (!this.#heard(line.toString("utf8", 0, end), now)) other.push(line);
      } else {
        other.push(line);
        this.#inLine = end < 0;
      }
      rest = rest.subarray(line.length);
    }
    return Buffer.concat(other);
  }

  /** What was held back when nothing more comes. */
  end(): Uint8Array {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return held;
  }

  #mayBeOurs(line: Buffer): boolean {
    const length = Math.min(line.length, PREFIX.length);
    return line.length <= LONGEST_LINE && line.compare(PREFIX, 0, length, 0, length) === 0;
  }

  #heard(line: string, now: number): boolean {
    const said = parseProgress(line);
    if (said === undefined) return false;
    if ("error" in said) this.#refusal = said.error;
    else if (now - this.#toldAt >= LEAST_MS || said.done === 1) {
      this.#toldAt = now;
      this.#tell(said);
    }
    return true;
  }
}
