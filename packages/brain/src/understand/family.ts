import { knownWord } from "./word-table.ts";

const mostWords = 4;
// Verbs of asking and words of no content: they differ between tellings of the same task.
const empty = new Set(
  "process the of and for with from into please need want make give get use using run rerun start do task job new our your my me this that these all each every some now today test it its can could will let take".split(
    " ",
  ),
);

/**
 * A stable key for tasks of one kind: the description's most telling words without numbers and
 * plurals, in their order. "Process mining MAG survey" and "process the mining MAG survey 12!" are
 * one family. `unnamed` where nothing tells.
 */
export function familyKey(words: readonly string[], files: readonly string[] = []): string {
  const seen = new Set<string>();
  const telling: { word: string; at: number; weight: number }[] = [];
  words.forEach((word, at) => {
    const short = /[^s]s$/.test(word) && word.length > 3 ? word.slice(0, -1) : word;
    if (/^\d/.test(word) || word.length < 2 || empty.has(word) || seen.has(short)) return;
    seen.add(short);
    const weight = knownWord(word)?.weight ?? 0.9;
    if (weight >= 0.5) telling.push({ word: short, at, weight });
  });
  const chosen = telling
    .sort((a, b) => (a.at < 12 ? 0 : 1) - (b.at < 12 ? 0 : 1) || b.weight - a.weight || a.at - b.at)
    .slice(0, mostWords)
    .sort((a, b) => a.at - b.at)
    .map(({ word }) => word.slice(0, 24));
  if (chosen.length > 0) return chosen.join("-");
  const first = files[0]
    ?.split(".")
    .pop()
    ?.toLowerCase()
    .replace(/[^a-z0-9]/g, "")
    .slice(0, 8);
  return first === undefined || first === "" ? "unnamed" : `unnamed-${first}`;
}
