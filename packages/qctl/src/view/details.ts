import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Page } from "./view.ts";

/** A label and what is said of it; undefined leaves the row out. */
export type Detail = readonly [label: string, value: string | undefined];

/** Labelled values, one beneath the other, wrapped at the page's width. */
export function renderDetails(rows: readonly Detail[], page: Page): string {
  const shown = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  const label = Math.max(0, ...shown.map(([text]) => stringWidth(text))) + 2;
  const room = Math.max(10, page.width - label);
  return shown
    .map(([text, value]) => {
      const lines = wrap(value, room).split("\n");
      const head = page.paint("bold", text) + " ".repeat(label - stringWidth(text));
      return head + lines.join(`\n${" ".repeat(label)}`);
    })
    .join("\n");
}

/** Text wrapped at words; words that are too long are cut. */
export const wrap = (text: string, width: number): string =>
  Number.isFinite(width) ? wrapAnsi(text, width, { hard: true, trim: false }) : text;
