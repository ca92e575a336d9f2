/** A page's limit and where it begins, as every list takes them. */
export interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** A page of rows that were read with a limit of one more than asked for; the cursor is the last one's key. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  { limit }: PageInput,
  { keyOf, itemOf }: { keyOf: (row: Row) => string; itemOf: (row: Row) => Item },
): { items: Item[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(itemOf),
    nextCursor: rows.length > limit && last !== undefined ? keyOf(last) : null,
  };
}
