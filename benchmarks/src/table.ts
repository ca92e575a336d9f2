import type { GroupMean } from "./means.ts";
import type { CaseResult, Ratio, PeerResult, SubjectResult } from "./session.ts";

/** The results as an aligned text table: one line for each peer of each case. */
export function table(results: readonly CaseResult[]): string {
  const head = ["case", "ours", "spread", "peer", "its median", "spread", "ratio (95 %)"];
  return align([head, ...results.flatMap(rowsOf)]);
}

function rowsOf(result: CaseResult): string[][] {
  const { name, unit, ours, peers, target } = result;
  const wanted = target === undefined ? "" : `, target ${target} ${unit}`;
  const own = [`${name}${wanted}`, amount(ours.median, unit), percent(ours.spread)];
  if (peers.length === 0) return [own, ...rowsBelow(ours, undefined, unit)];
  return peers.flatMap((peer, index) => [
    [...(index === 0 ? own : ["", "", ""]), peer.name, ...peerCells(peer, unit)],
    ...rowsBelow(index === 0 ? ours : undefined, "unavailable" in peer ? undefined : peer, unit),
  ]);
}

/** Below the medians: where most samples lie, and what memory the work took. */
function rowsBelow(
  ours: SubjectResult | undefined,
  peer: SubjectResult | undefined,
  unit: string,
): string[][] {
  const rows: readonly [string, (subject: SubjectResult) => string | undefined][] = [
    ["p95", ({ tails }) => tails && amount(tails.p95, unit)],
    ["p99", ({ tails }) => tails && amount(tails.p99, unit)],
    ["peak memory", ({ peakMib }) => (peakMib === undefined ? undefined : amount(peakMib, "MiB"))],
  ];
  return rows.flatMap(([name, cellOf]) => {
    const [own, other] = [ours && cellOf(ours), peer && cellOf(peer)];
    return own || other ? [[`  ${name}`, own ?? "", "", "", other ?? ""]] : [];
  });
}

function peerCells(peer: PeerResult, unit: string): string[] {
  if ("unavailable" in peer) return [`unavailable: ${peer.unavailable}`];
  return [amount(peer.median, unit), percent(peer.spread), times(peer.ratio)];
}

/** The geometric means of groups, one line each. */
export function meansTable(means: readonly GroupMean[]): string {
  const head = ["group", "peer", "geometric mean (95 %)"];
  return align([head, ...means.map(({ group, peer, ratio }) => [group, peer, times(ratio)])]);
}

function times({ median, low, high }: Ratio): string {
  return `${significant(median)}× (${significant(low)}–${significant(high)})`;
}

function amount(value: number, unit: string): string {
  return `${significant(value)} ${unit}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Three significant digits and never an exponent: 0.0123, 1.23, 123, 12300. */
function significant(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { maximumSignificantDigits: 3, useGrouping: false });
}

function align(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (isReason(row[column]) ? 0 : (row[column]?.length ?? 0)))),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A reason runs to the end of its line; it widens no column. */
function isReason(cell: string | undefined): boolean {
  return cell?.startsWith("unavailable: ") ?? false;
}
