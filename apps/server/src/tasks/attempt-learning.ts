import type { Decision } from "@queztl/brain";
import type { BrainHost } from "../brain/brain-host.ts";
import type { RunEnd } from "../vms/vm-host.ts";
import type { Outcome } from "./attempt-end.ts";

/** Has the brain learn from a run; returns what that was, in words. */
export function learnFrom(
  brain: BrainHost,
  decision: Decision,
  { outcome, run }: { readonly outcome: Exclude<Outcome, "lost">; readonly run: RunEnd },
): string[] {
  const { family } = decision.task;
  const { peakMib, wallSeconds, cpuSeconds } = run;
  const known = brain.brain.knowledge().some((each) => each.family === family);
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
  return words;
}
