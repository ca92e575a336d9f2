import fc from "fast-check";
import stringWidth from "string-width";
import { expect, test } from "vitest";
import { coloured, plain } from "./paint.ts";
import { type Column, renderTable } from "./table.ts";
import type { Page } from "./view.ts";

const page = (width: number): Page => ({ width, paint: plain, wide: false, now: new Date(0) });
type Row = readonly string[];
const at = (index: number, more: Partial<Column<Row>> = {}): Column<Row> => ({
  header: `H${index}`,
  text: (row) => row[index] ?? "",
  ...more,
});

test("rows → aligned under their headers, numbers to the right, no blanks at the end", () => {
  const columns = [at(0), at(1, { right: true }), at(2)];
  const rows = [
    ["web", "1", "x"],
    ["database", "16", ""],
  ];
  expect(renderTable(columns, rows, page(80)).split("\n")).toEqual([
    "H0        H1  H2",
    "web        1  x",
    "database  16",
  ]);
});

test("a narrow page → columns shrink to their least, then the least worthy ones go", () => {
  const columns = [at(0, { least: 4 }), at(1, { drop: 2 }), at(2, { drop: 1 })];
  const rows = [["a-long-name", "1234567890", "abcdef"]];
  expect(renderTable(columns, rows, page(80))).toContain("a-long-name  1234567890  abcdef");
  expect(renderTable(columns, rows, page(27))).toContain("a-long…  1234567890  abcdef");
  expect(renderTable(columns, rows, page(16))).toContain("a-long-…  abcdef");
  expect(renderTable(columns, rows, page(8))).toBe("H0\na-long-…");
});

test("no terminal → nothing is cut", () => {
  const long = "x".repeat(5000);
  expect(renderTable([at(0, { least: 3 })], [[long]], page(Infinity))).toContain(long);
});

test("any text on any width → no line wider than the page, a line a row", () => {
  const text = fc
    .string({ unit: "grapheme", maxLength: 30 })
    .filter((each) => !/[\p{C}\s]/u.test(each));
  const row = fc.tuple(text, text, text, text);
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 8 }),
      fc.integer({ min: 20, max: 120 }),
      (rows, width) => {
        const columns = [
          at(0, { least: 4 }),
          at(1, { drop: 1 }),
          at(2, { least: 2, drop: 2 }),
          at(3),
        ];
        const style = (_: Row, cell: string) => coloured("red", cell);
        const painted = columns.map((column) => ({ ...column, style }));
        const lines = renderTable(painted, rows, { ...page(width), paint: coloured }).split("\n");
        expect(lines).toHaveLength(rows.length + 1);
        for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width);
      },
    ),
  );
});
