import type { TerminalSize } from "./session.ts";

/** The terminal that somebody sits at, in raw mode: every key goes to the guest. */
export interface RawTerminal {
  readonly input: NodeJS.ReadStream;
  readonly size: () => TerminalSize;
  readonly onResize: (tell: (size: TerminalSize) => void) => () => void;
  /** Gives the terminal back as it was. */
  readonly release: () => void;
}

/** The size of standard output as a terminal. */
export const terminalSize = (): TerminalSize => ({
  columns: Math.min(1000, process.stdout.columns || 80),
  rows: Math.min(1000, process.stdout.rows || 24),
});

/** Takes the terminal into raw mode. Also an exit in the midst of it gives the terminal back. */
export function takeTerminal(): RawTerminal {
  const input = process.stdin;
  const release = () => {
    process.off("exit", release);
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    input.unref();
  };
  process.on("exit", release);
  input.setRawMode(true);
  return {
    input,
    size: terminalSize,
    onResize: (tell) => {
      const resized = () => tell(terminalSize());
      // It may have changed while the connection was made.
      resized();
      process.stdout.on("resize", resized);
      return () => process.stdout.off("resize", resized);
    },
    release,
  };
}
