import { LARGEST_PAGE } from "@queztl/api/client";

/** What a `list` operation answers. */
export interface ListPage<Item> {
  readonly items: Item[];
  readonly nextCursor: string | null;
}

/** Fetches page after page until `limit` items are there or no more come. */
export async function collect<Item>(
  limit: number,
  fetchPage: (page: { limit: number; cursor?: string }) => Promise<ListPage<Item>>,
): Promise<ListPage<Item>> {
  const items: Item[] = [];
  let cursor: string | undefined;
  for (;;) {
    const wanted = Math.min(LARGEST_PAGE, limit - items.length);
    const page = await fetchPage({ limit: wanted, ...(cursor === undefined ? {} : { cursor }) });
    items.push(...page.items);
    const { nextCursor } = page;
    if (nextCursor === null || items.length >= limit || nextCursor === cursor) {
      return { items, nextCursor };
    }
    cursor = nextCursor;
  }
}
