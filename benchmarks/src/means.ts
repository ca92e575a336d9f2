import { ratiosOf } from "./session.ts";
import type { CaseResult, Ratio } from "./session.ts";
import { median, medianInterval } from "./statistics.ts";

/** How many times better ours is over all cases of a group. */
export interface GroupMean {
  readonly group: string;
  readonly peer: string;
  /** Of the rounds' geometric means. */
  readonly ratio: Ratio;
}

/** The geometric means of each group against the peers that took part in all its cases. */
export function groupMeans(results: readonly CaseResult[]): GroupMean[] {
  const groups = new Set(results.flatMap(({ group }) => group ?? []));
  return [...groups].flatMap((group) => {
    const cases = results.filter((each) => each.group === group);
    return (cases[0]?.peers ?? []).flatMap(({ name: peer }): GroupMean[] => {
      const ratios = cases.map((each) => {
        const found = each.peers.find(({ name }) => name === peer);
        if (!found || "unavailable" in found) return [];
        return ratiosOf(each.better, each.ours.samples, found.samples);
      });
      const rounds = Math.min(...ratios.map(({ length }) => length));
      if (rounds === 0) return [];
      const means = Array.from({ length: rounds }, (_, round) =>
        Math.exp(
          ratios.reduce((sum, all) => sum + Math.log(all[round] ?? Number.NaN), 0) / ratios.length,
        ),
      );
      return [{ group, peer, ratio: { median: median(means), ...medianInterval(means) } }];
    });
  });
}
