import { parseProgress, type Progress } from "@queztl/skills";

const LONGEST_LINE = 4096;
const LEAST_MS = 500;

/** Finds a skill's words about its progress in what it writes, and tells them, but not too often. */
export class ProgressLines {
  readonly #tell: (progress: Progress) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #toldAt = 0;
  #refusal: string | undefined;

  constructor(tell: (progress: Progress) => void) {
    this.#tell = tell;
  }

  /** What the skill said was wrong with its input. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  take(bytes: Uint8Array, now = Date.now()): void {
    const lines = `${this.#rest}${this.#decoder.decode(bytes, { stream: true })}`.split("\n");
    // A line that is too long says nothing; only that it goes on must be known.
    this.#rest = (lines.pop() ?? "").slice(0, LONGEST_LINE + 1);
    for (const line of lines) {
      const said = parseProgress(line);
      if (said === undefined) continue;
      if ("error" in said) this.#refusal = said.error;
      else if (now - this.#toldAt >= LEAST_MS || said.done === 1) {
        this.#toldAt = now;
        this.#tell(said);
      }
    }
  }
}
