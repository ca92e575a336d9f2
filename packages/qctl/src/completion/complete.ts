/** A flag as completion sees it. */
export interface FlagShape {
  readonly name: string;
  readonly char?: string | undefined;
  readonly type: "boolean" | "option";
  readonly summary?: string | undefined;
  readonly options?: readonly string[] | undefined;
  readonly hidden?: boolean | undefined;
  readonly multiple?: boolean | undefined;
}

/** A command as completion sees it. */
export interface CommandShape {
  /** Its words with colons between: `vm:list`. */
  readonly id: string;
  readonly aliases: readonly string[];
  readonly hidden: boolean;
  readonly summary?: string | undefined;
  readonly args: readonly { readonly name: string; readonly multiple?: boolean | undefined }[];
  readonly flags: readonly FlagShape[];
}

/** A word that may stand at the cursor. */
export interface Candidate {
  readonly value: string;
  readonly description?: string | undefined;
}

/** What is asked for at the cursor. */
export type Completion =
  | { readonly kind: "words"; readonly candidates: readonly Candidate[] }
  /** A thing of the server's, such as a VM's name; `before` are the words that came. */
  | { readonly kind: "thing"; readonly thing: string; readonly before: readonly string[] }
  | { readonly kind: "files" };

const THINGS = new Set(["vm", "task", "node", "image", "snapshot", "context", "setting", "token"]);
const FILES = new Set(["path", "file", "source", "from", "to", "out", "data"]);

/** What may stand at the cursor: `words` are those after the program's name, the last one unfinished. */
export function complete(
  commands: readonly CommandShape[],
  topics: readonly { readonly name: string; readonly description?: string | undefined }[],
  words: readonly string[],
): Completion {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const found = commandOf(commands, before);
  if (found === undefined)
    return { kind: "words", candidates: nextWords(commands, topics, before, current) };
  const { command, rest } = found;
  if (rest.includes("--")) return { kind: "files" };
  const last = rest.at(-1) ?? "";
  const pending = flagOf(command, last);
  if (pending?.type === "option" && !last.includes("=")) return valueOf(pending, rest);
  const withValue = /^(--[^=]+)=(.*)$/s.exec(current);
  const assigned = withValue === null ? undefined : flagOf(command, withValue[1] ?? "");
  if (assigned !== undefined && withValue !== null) {
    const candidates = (assigned.options ?? []).map((each) => ({
      value: `${withValue[1]}=${each}`,
    }));
    return { kind: "words", candidates: matching(candidates, current) };
  }
  if (current.startsWith("-")) {
    return { kind: "words", candidates: matching(flagsOf(command, rest), current) };
  }
  const arg = argAt(command, rest);
  const subcommands = nextWords(commands, topics, before, current);
  if (arg === undefined) return { kind: "words", candidates: subcommands };
  if (THINGS.has(arg)) return { kind: "thing", thing: arg, before: positionals(command, rest) };
  return FILES.has(arg) ? { kind: "files" } : { kind: "words", candidates: subcommands };
}

/** The command that begins a line, the longest one, and the words after it. */
function commandOf(commands: readonly CommandShape[], words: readonly string[]) {
  for (let length = words.length; length > 0; length -= 1) {
    const id = words.slice(0, length).join(":");
    const command = commands.find((each) => each.id === id || each.aliases.includes(id));
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  return undefined;
}

/** Commands and topics that may come after some words. */
function nextWords(
  commands: readonly CommandShape[],
  topics: Parameters<typeof complete>[1],
  before: readonly string[],
  current: string,
): Candidate[] {
  const prefix = before.length === 0 ? "" : `${before.join(":")}:`;
  const all = new Map<string, Candidate>();
  for (const { id, hidden, summary } of commands) {
    if (hidden || !id.startsWith(prefix)) continue;
    const [value = "", ...deeper] = id.slice(prefix.length).split(":");
    const topic = topics.find(({ name }) => name === `${prefix}${value}`);
    const description = deeper.length === 0 ? summary : topic?.description;
    if (value !== "" && (deeper.length === 0 || !all.has(value)))
      all.set(value, { value, description });
  }
  return matching([...all.values()], current);
}

const matching = (candidates: readonly Candidate[], current: string): Candidate[] =>
  candidates
    .filter(({ value }) => value.startsWith(current))
    .sort((a, b) => a.value.localeCompare(b.value));

function flagOf(command: CommandShape, word: string): FlagShape | undefined {
  if (word.startsWith("--")) return command.flags.find(({ name }) => name === word.slice(2));
  // `-it`: only the last letter can still want a value.
  if (/^-[A-Za-z]+$/.test(word)) return command.flags.find(({ char }) => char === word.at(-1));
  return undefined;
}

function valueOf(flag: FlagShape, rest: readonly string[]): Completion {
  if (flag.options !== undefined) {
    return { kind: "words", candidates: flag.options.map((value) => ({ value })) };
  }
  if (THINGS.has(flag.name)) return { kind: "thing", thing: flag.name, before: rest };
  return FILES.has(flag.name) ? { kind: "files" } : { kind: "words", candidates: [] };
}

function flagsOf(command: CommandShape, rest: readonly string[]): Candidate[] {
  return command.flags
    .filter(
      ({ name, hidden, multiple }) =>
        hidden !== true && (multiple === true || !rest.includes(`--${name}`)),
    )
    .map(({ name, summary }) => ({ value: `--${name}`, description: summary }));
}

/** The words that are neither flags nor their values. */
function positionals(command: CommandShape, rest: readonly string[]): string[] {
  const found: string[] = [];
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] ?? "";
    if (!word.startsWith("-")) found.push(word);
    else if (!word.includes("=") && flagOf(command, word)?.type === "option") at += 1;
  }
  return found;
}

function argAt(command: CommandShape, rest: readonly string[]): string | undefined {
  const at = positionals(command, rest).length;
  const last = command.args.at(-1);
  return command.args[at]?.name ?? (last?.multiple === true ? last.name : undefined);
}
