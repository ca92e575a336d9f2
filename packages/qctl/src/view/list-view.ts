import { type Column, renderTable } from "./table.ts";
import type { View } from "./view.ts";

/** A page of a list, as every `list` operation answers it. */
export interface Items<Row> {
  readonly items: readonly Row[];
  readonly nextCursor?: string | null;
}

/** How a list is shown. */
export interface ListViewOptions<Row> {
  readonly columns: readonly Column<Row>[];
  readonly name: (row: Row) => string;
}

/** A list as a table; empty lists give an empty text, so that scripts see nothing. */
export const listView = <Row>({ columns, name }: ListViewOptions<Row>): View<Items<Row>> => ({
  text: ({ items }, page) => (items.length === 0 ? "" : renderTable(columns, items, page)),
  names: ({ items }) => items.map(name),
});
