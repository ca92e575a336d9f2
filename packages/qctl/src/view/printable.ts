/*
 * Escape sequences of ECMA-48: CSI, strings such as titles and hyperlinks with their end, and short ones.
 * No part can begin again inside itself, so that looking takes time linear in the text's length.
 */
const ESC = "\u001b";
const STRING_ENDS = "\u0007\u009c";
const SEQUENCES = new RegExp(
  [
    `(?:${ESC}\\[|\u009b)[0-?]*[ -/]*[@-~]`,
    `(?:${ESC}[\\]PX^_]|[\u0090\u0098\u009d-\u009f])[^${ESC}${STRING_ENDS}]*(?:[${STRING_ENDS}]|${ESC}\\\\)`,
    `${ESC}[ -/]*[0-~]`,
  ].join("|"),
  "g",
);

/**
 * Foreign text made safe to show: escape sequences and control characters, which could drive the
 * terminal or forge what it shows, are dropped; line ends and tabs stay.
 */
export const printable = (text: string): string =>
  text
    .replace(SEQUENCES, "")
    .replaceAll("\r\n", "\n")
    .replace(/[^\P{C}\n\t]/gu, (found) => (isJoiner(found) ? found : ""));

/** The same in one line. */
export const printableLine = (text: string): string => printable(text).replace(/\s+/g, " ").trim();

// Scripts such as Persian and emoji of several people need them; they move no cursor.
const isJoiner = (character: string) => character === "\u200c" || character === "\u200d";
