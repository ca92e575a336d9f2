import { drawnArm } from "../resources/exploration.ts";
import { memoryRangeText, memoryText } from "../sizer/size-reasons.ts";
import type { Decision } from "./decision.ts";

const MOST_CANDIDATES = 5;

/** A decision as a person reads it: what, how sure, why, and what else was considered. */
export function explainDecision(decision: Decision): string {
  const { task, resources, expected, evidence } = decision;
  const attempt = decision.attempt > 1 ? `, attempt ${decision.attempt}` : "";
  const lines = [
    `${task.family} (${task.domain}, ${percent(task.domainConfidence)} sure)${attempt}`,
    `  memory      ${memoryText(resources.memoryMib)} (peak expected at ${memoryRangeText(...expected.memoryMib)}, ${percent(decision.confidence)} sure that it is enough)`,
    `  vCPUs       ${resources.vcpus}${resources.gpus > 0 ? `, GPUs ${resources.gpus}` : ""}`,
    `  time        ${expected.seconds === undefined ? "unknown" : durationRange(...expected.seconds)}, stopped after ${durationText(resources.timeLimitSeconds)}`,
    `  disk        ${memoryText(resources.diskMib)}`,
    `  runs as     ${resources.image}, ${resources.sizeClass ?? "no size class is large enough"}`,
    "because",
    ...[...decision.reasons, ...task.reasons].map((reason) => `  - ${reason}`),
  ];
  if (decision.recalled.length > 0) {
    lines.push("it reminded of");
    for (const { family, similarity, experienceId } of decision.recalled.slice(0, 3)) {
      lines.push(`  - ${family} (${percent(similarity)} alike, ${experienceId})`);
    }
  }
  const considered = evidence.memory.candidates.toSorted((a, b) => a.score - b.score);
  if (considered.length > 1) {
    lines.push("considered (memory, expected cost relative to the best)");
    const least = considered[0]?.score ?? 0;
    for (const { name, memoryMib, score } of considered.slice(0, MOST_CANDIDATES)) {
      const relative = least > 0 ? `${(score / least).toFixed(2)}×` : score.toFixed(0);
      lines.push(`  - ${name}: ${memoryText(memoryMib)}, ${relative}`);
    }
  }
  for (const [what, exploration] of [
    ["memory", evidence.memoryExploration],
    ["vCPUs", evidence.vcpuExploration],
  ] as const) {
    const arm = drawnArm(exploration);
    if (arm.name !== "same") {
      lines.push(
        `tried on purpose: ${arm.name} the ${what}, chosen with probability ${arm.propensity}`,
      );
    }
  }
  lines.push(`decision ${decision.id}, model version ${decision.version}`);
  return lines.join("\n");
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

/** `45 s`, `12 min` or `3.5 h`. */
export function durationText(seconds: number): string {
  if (seconds < 120) return `${Number(seconds.toPrecision(2))} s`;
  return seconds < 7200
    ? `${Math.round(seconds / 60)} min`
    : `${Number((seconds / 3600).toFixed(1))} h`;
}

function durationRange(low: number, high: number): string {
  const [a, b] = [durationText(low), durationText(high)];
  return a === b ? a : `${a} to ${b}`;
}
