import type { Decision } from "@queztl/brain";
import type { BrainHost } from "../brain/brain-host.ts";
import type { RunEnd } from "../vms/vm-host.ts";
import type { Outcome } from "./attempt-end.ts";

/** Has the brain learn from a run; returns what that was, in words. */
export function learnFrom(
  brain: Pick<BrainHost, "brain" | "learn">,
  decision: Decision,
  { outcome, run }: { readonly outcome: Exclude<Outcome, "lost">; readonly run: RunEnd },
): string[] {
  const { family } = decision.task;
  const { peakMib, wallSeconds, cpuSeconds } = run;
  const knowledge = () => brain.brain.knowledge().find((each) => each.family === family);
  const known = knowledge() !== undefined;
  brain.learn({ decisionId: decision.id, outcome, peakMib, wallSeconds, cpuSeconds }, decision);
  const ended = outcome === "ok" ? "peaked" : "ended";
  const words = [
    `${family}: a run ${ended} at ${Math.round(peakMib)} MiB after ${wallSeconds.toFixed(1)} s`,
  ];
  const [low, high] = decision.expected.memoryMib;
  if (!known) words.push(`${family} was not known before`);
  else if (peakMib < low || peakMib > high) {
    const expected = `${Math.round(low)} to ${Math.round(high)} MiB`;
    words.push(`that is outside of the ${expected} that were expected`);
  }
  const growth = outcome === "ok" ? knowledge()?.growth : undefined;
  if (growth !== undefined) {
    const { memoryPerTenfold, timePerTenfold } = growth;
    words.push(
      `so far ten times the input takes ${factor(memoryPerTenfold)} times the memory and ${factor(timePerTenfold)} times as long`,
    );
  }
  return words;
}

const factor = (times: number): string => String(Number(times.toPrecision(2)));
