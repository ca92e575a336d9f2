import { expect, test } from "vitest";
import { killStorm } from "./kill-storm.ts";

const KILLS = Number(process.env["QUEZTL_KILLS"] ?? 20);

test(`${KILLS} random kills of monitors and of those that work with them → all others go on, nothing is left`, async () => {
  const seed = Date.now() % 2 ** 32;
  console.log("seed:", seed);
  const report = await killStorm({ kills: KILLS, vms: 3, seed });
  console.log(report);
  expect(report.problems).toEqual([]);
  expect(report.left).toEqual([]);
});
