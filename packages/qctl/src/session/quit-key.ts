const KEYS = ["q", "\u0003"];

/**
 * Hears the keys that end what is drawn on a terminal, `q` and Ctrl-C, until released; does nothing where standard input
 * is no terminal.
 */
export function watchQuitKey(quit: () => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => undefined;
  const hear = (keys: Buffer) => {
    if (KEYS.some((key) => keys.includes(key))) quit();
  };
  const release = () => {
    process.off("exit", release);
    stdin.off("data", hear);
    stdin.setRawMode(false);
    stdin.pause();
    stdin.unref();
  };
  process.on("exit", release);
  stdin.setRawMode(true);
  stdin.on("data", hear);
  return release;
}
