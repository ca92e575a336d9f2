/** As much of a flag's definition as splitting needs. */
interface FlagShape {
  readonly type: "boolean" | "option";
  readonly char?: string | undefined;
}

/**
 * Splits a command line into the command's own words and those of the program that it runs: `vm exec
 * web ls -l` gives `web` and `ls -l`. The program's words begin after `positionals` words that are no
 * flags, or after `--`, whichever comes first.
 */
export function splitPassthrough(
  argv: readonly string[],
  flags: Readonly<Record<string, FlagShape>>,
  positionals: number,
): { readonly own: string[]; readonly rest: string[] } {
  const byChar = new Map(Object.values(flags).map((flag) => [flag.char, flag]));
  const takesValue = (word: string): boolean => {
    if (word.startsWith("--"))
      return !word.includes("=") && flags[word.slice(2)]?.type === "option";
    // In `-itu root` the last letter may take a value; in `-uroot` it has it.
    const letters = word.slice(1).split("");
    const first = letters.findIndex((letter) => byChar.get(letter)?.type === "option");
    return first >= 0 && first === letters.length - 1;
  };
  let seen = 0;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? "";
    if (word === "--") return { own: argv.slice(0, at), rest: argv.slice(at + 1) };
    if (word.startsWith("-") && word !== "-") {
      if (takesValue(word)) at += 1;
    } else if (seen === positionals) return { own: argv.slice(0, at), rest: argv.slice(at) };
    else seen += 1;
  }
  return { own: [...argv], rest: [] };
}
