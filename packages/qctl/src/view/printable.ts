import { stripVTControlCharacters } from "node:util";

/**
 * Foreign text made safe to show: escape sequences and control characters, which could drive the
 * terminal or forge what it shows, are dropped; line ends and tabs stay.
 */
export const printable = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll("\r\n", "\n")
    .replace(/[^\P{C}\n\t]/gu, (found) => (isJoiner(found) ? found : ""));

/** The same in one line. */
export const printableLine = (text: string): string => printable(text).replace(/\s+/g, " ").trim();

// Scripts such as Persian and emoji of several people need them; they move no cursor.
const isJoiner = (character: string) => character === "\u200c" || character === "\u200d";
