import cliTruncate from "cli-truncate";
import stringWidth from "string-width";
import type { Page } from "./view.ts";

/** A column of a list. */
export interface Column<Row> {
  readonly header: string;
  readonly text: (row: Row, page: Page) => string;
  /** Colours a cell; it must not change its width. */
  readonly style?: (row: Row, text: string, page: Page) => string;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  readonly right?: boolean;
  /** How narrow it may become where the terminal is too narrow; its full width unless given. */
  readonly least?: number;
  /** Left out where it is too narrow still: those with the highest number first. Never, unless given. */
  readonly drop?: number;
}

const GAP = 2;

/** Rows as a table without borders, no line wider than the page. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  page: Page,
): string {
  const shown = columns
    .filter(({ wide = false }) => !wide || page.wide)
    .map((column) => {
      const cells = rows.map((row) => column.text(row, page));
      const width = Math.max(stringWidth(column.header), ...cells.map((cell) => stringWidth(cell)));
      return { column, cells, width };
    });
  const kept = fit(shown, page.width);
  const line = (cell: (each: Fitted<Row>) => string) =>
    kept
      .map((each, at) => pad(cell(each), each, at === kept.length - 1))
      .join(" ".repeat(GAP))
      .trimEnd();
  const header = line(({ column, width }) => page.paint("bold", cut(column.header, width)));
  const lines = rows.map((row, at) =>
    line(({ column, cells, width }) => {
      const text = cut(cells[at] ?? "", width);
      return column.style?.(row, text, page) ?? text;
    }),
  );
  return [header, ...lines].join("\n");
}

interface Fitted<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

/** Narrows columns that may be narrowed, then drops those that may be dropped, then cuts what is left. */
function fit<Row>(all: readonly Fitted<Row>[], width: number): Fitted<Row>[] {
  let kept = [...all];
  for (;;) {
    const room = width - GAP * (kept.length - 1);
    const least = (each: Fitted<Row>) => Math.min(each.width, each.column.least ?? each.width);
    if (sum(kept.map(least)) <= room) return squeeze(kept, least, room);
    const highest = Math.max(...kept.map(({ column }) => column.drop ?? -1));
    if (highest < 0) {
      const narrowed = Math.max(1, Math.floor(room / kept.length));
      return squeeze(kept, (each) => Math.min(least(each), narrowed), Math.max(room, kept.length));
    }
    kept = kept.filter(({ column }) => column.drop !== highest);
  }
}

/** Takes from the widest column first, until all fit. */
function squeeze<Row>(
  kept: readonly Fitted<Row>[],
  least: (each: Fitted<Row>) => number,
  room: number,
): Fitted<Row>[] {
  const widths = kept.map(({ width }) => width);
  for (let over = sum(widths) - room; over > 0; over -= 1) {
    let widest = -1;
    kept.forEach((each, at) => {
      const width = widths[at] ?? 0;
      if (width > least(each) && width > (widths[widest] ?? -1)) widest = at;
    });
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return kept.map((each, at) => ({ ...each, width: widths[at] ?? each.width }));
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

/** Text that is no wider than a width. */
export const cut = (text: string, width: number): string =>
  stringWidth(text) <= width ? text : cliTruncate(text, width);

function pad<Row>(text: string, { column, width }: Fitted<Row>, last: boolean): string {
  const missing = " ".repeat(Math.max(0, width - stringWidth(text)));
  if (column.right === true) return missing + text;
  return last ? text : text + missing;
}
