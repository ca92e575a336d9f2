import { z } from "zod";
import { LARGEST_PAGE } from "../limits.ts";

const cursor = z
  .string()
  .max(512)
  .regex(/^[A-Za-z0-9_=.:~-]+$/, { error: "must be a cursor from an earlier answer" });

/** What every list takes. */
export const pageInput = {
  limit: z.int().min(1).max(LARGEST_PAGE).default(50).describe("How many items at most"),
  cursor: cursor.optional().describe("`nextCursor` of the answer before; the start unless given"),
};

/** A page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item).max(LARGEST_PAGE).describe("The items of this page"),
    nextCursor: cursor.nullable().describe("What to ask for the next page with; null at the end"),
  });
