import type { ExpertBank } from "./expert-bank.ts";
import type { RecalledPeaks } from "./family-recall.ts";

/** `410 MiB` below 1 GiB, `1.5 GiB` from there on. */
export const memoryText = (mib: number): string =>
  mib < 1024 ? `${Math.round(mib)} MiB` : `${Number((mib / 1024).toFixed(1))} GiB`;

/** `290–300 MiB`, or one size where both look the same. */
export function memoryRangeText(lowMib: number, highMib: number): string {
  const low = memoryText(lowMib);
  const high = memoryText(highMib);
  if (low === high) return high;
  return low.slice(-3) === high.slice(-3) ? `${low.slice(0, -4)}–${high}` : `${low} to ${high}`;
}

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Why a family's own experience leads to this size, in plain words. */
export function experienceReasons(bank: ExpertBank, expert: string, memoryMib: number): string[] {
  const { min, max } = bank.range;
  const reasons = [
    `${plural(bank.samples, "task")} of this family peaked at ${memoryRangeText(min, max)}`,
    expertReason(expert),
  ];
  const { decisions, held } = bank.record;
  if (decisions >= 5) {
    const risk = (decisions - held + 1) / (decisions + 1);
    reasons.push(
      `such a choice was enough for ${held} of the last ${decisions} tasks (about ${percent(risk)} risk of running out)`,
    );
  } else {
    reasons.push("too few tasks yet to state the risk; it is retried with more if it runs out");
  }
  if (memoryMib > max * 1.5 && expert !== "larger than seen") {
    reasons.push(`${memoryText(memoryMib - max)} above anything seen is headroom for surprises`);
  }
  return reasons;
}

/** Why families with similar names lead to this size. */
export function recallReasons(
  recalled: RecalledPeaks,
  memoryMib: number,
  floorMib: number,
): string[] {
  const names = recalled.alike.map(
    ({ family, similarity }) => `${family} (${percent(similarity)} alike)`,
  );
  const reasons = ["no task of this family has finished yet"];
  reasons.push(
    names.length > 0
      ? `similar families: ${names.join(", ")}`
      : "no family with a similar name is known; sizes of all known tasks were weighed",
  );
  if (floorMib > 0) reasons.push(`an attempt with ${memoryText(floorMib)} has failed`);
  reasons.push(
    `${memoryText(memoryMib)} costs least on average, counting retries of tasks that need more`,
  );
  return reasons;
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

function expertReason(expert: string): string {
  if (expert === "enough before") {
    return "it fills whatever memory it gets: it is given the least that was enough";
  }
  if (expert === "larger than seen") {
    return "its input is far larger than any seen; memory has grown along a line with the input so far";
  }
  if (expert.startsWith("max"))
    return `the most ever seen ${expert.slice(3)} has been the cheapest rule`;
  if (expert.startsWith("p9")) return `the ${expert} of recent peaks has been the cheapest rule`;
  if (expert.startsWith("linear") || expert === "power") return "memory follows the input size";
  if (expert.startsWith("nearest")) return "tasks with the most similar input size were compared";
  if (expert.startsWith("last"))
    return "the most recent tasks were compared, since needs change over time";
  return "the input size tells little: a quantile of the peaks costs least";
}
