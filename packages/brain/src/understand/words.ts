import { pivotWords } from "./seed-lexicon.ts";

/** Only this much of a description is read: enough for any meaning, a bound for hostile lengths. */
const longestText = 8192;
const mostWords = 600;

/**
 * A text's words: lower case, without accents, identifiers split (`lineSpacing_m` → line, spacing,
 * m), `3D` kept whole as `threed`, foreign words of the seed lexicon turned into English. At most
 * 8,192 characters and 600 words count.
 */
export function textWords(text: string): string[] {
  const plain = text
    .slice(0, longestText)
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/\b([23])[ -]?d\b/gi, " threed ");
  const found = plain.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|(?:(?![A-Za-z])\p{L})+/gu) ?? [];
  const words: string[] = [];
  for (const word of found) {
    words.push(...pivotWords(word.toLowerCase()));
    if (words.length >= mostWords) break;
  }
  return words.slice(0, mostWords);
}

const endings: readonly (readonly [ending: string, instead: string])[] = [
  ["ies", "y"],
  ["es", ""],
  ["s", ""],
  ["ing", ""],
  ["ing", "e"],
  ["ed", ""],
  ["ed", "e"],
  ["er", ""],
  ["ly", ""],
];

/** The forms under which a word may be listed: itself, then with its ending taken off. */
export function wordForms(word: string): string[] {
  const forms = [word];
  for (const [ending, instead] of endings) {
    if (word.length - ending.length >= 3 && word.endsWith(ending)) {
      const stem = word.slice(0, -ending.length);
      forms.push(stem + instead);
      if (ending === "ing" || ending === "ed") {
        // A doubled consonant: mapped → map.
        if (/([^aeiou])\1$/.test(stem)) forms.push(stem.slice(0, -1));
      }
    }
  }
  return forms;
}

/** The word with a plain English ending taken off, for grouping and hashing; not always a word. */
export function stem(word: string): string {
  for (const ending of ["ing", "ed", "es", "s"]) {
    if (word.length - ending.length >= 3 && word.endsWith(ending)) {
      return word.slice(0, -ending.length);
    }
  }
  return word;
}
