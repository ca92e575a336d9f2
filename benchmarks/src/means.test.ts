import { expect, test } from "vitest";
import type { Case, Subject } from "./bench.ts";
import { groupMeans } from "./means.ts";
import { runSession } from "./session.ts";

const constant = (name: string, value: number): Subject => ({ name, measure: () => value });

function caseOf(group: string, ours: number, ...peers: Subject[]): Case {
  return { name: "x", group, unit: "s", better: "lower", ours: constant("a", ours), peers };
}

test("cases at twice and eight times a peer's speed → 4 in the mean of their group", async () => {
  const cases = [caseOf("loops", 1, constant("b", 2)), caseOf("loops", 1, constant("b", 8))];
  const means = groupMeans(
    await runSession({ summary: "", cases }, { rounds: 3, provide: async () => undefined }),
  );
  expect(means).toMatchObject([{ group: "loops", peer: "b" }]);
  expect(means[0]?.ratio.median).toBeCloseTo(4);
});

test("a peer that lacks in one of a group's cases → no mean against it, but against others", async () => {
  const broken: Subject = { name: "b", measure: () => Promise.reject(new Error("no")) };
  const cases = [
    caseOf("one", 1, constant("b", 2), constant("c", 3)),
    caseOf("one", 1, broken, constant("c", 3)),
  ];
  const means = groupMeans(
    await runSession({ summary: "", cases }, { rounds: 3, provide: async () => undefined }),
  );
  expect(means.map(({ peer }) => peer)).toEqual(["c"]);
});
