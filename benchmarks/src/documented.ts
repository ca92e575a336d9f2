import type { BenchRecord } from "./record.ts";

const digits = (value: number): string => String(Number(value.toPrecision(3)));
const range = ({ median, low, high }: { median: number; low: number; high: number }): string =>
  `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;

/**
 * The rows of the table that docs/performance.md has of a bench: medians, then ratios to the peers.
 * @param groups what the geometric means of groups are called there
 */
export function documentedRows(
  { cases, means }: BenchRecord,
  groups: Readonly<Record<string, string>>,
): string[] {
  const rows = cases.map(({ name, unit, ours, peers }) => {
    const found = peers.flatMap((peer) => ("unavailable" in peer ? [] : [peer]));
    const [own, ...others] = [ours, ...found].map(({ median }) => digits(median));
    const cells = [
      // A bar would end the cell.
      name.replaceAll("|", "\\|"),
      unit === "s" ? own : `${own} ${unit}`,
      ...others,
      ...found.map(({ ratio }) => range(ratio)),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  for (const [group, title] of Object.entries(groups)) {
    const ratios = (means ?? []).filter((mean) => mean.group === group);
    const ranges = ratios.map(({ ratio }) => `**${range(ratio)}**`);
    rows.push(
      `| **${title}, geometric mean** | ${"| ".repeat(ratios.length + 1)}${ranges.join(" | ")} |`,
    );
  }
  return rows;
}
