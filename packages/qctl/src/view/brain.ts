import type { BrainStatus, Explanation, FamilyKnowledge, Optimisation } from "../resources.ts";
import { renderDetails, wrap } from "./details.ts";
import { listView } from "./list-view.ts";
import { printable, printableLine } from "./printable.ts";
import { renderTable } from "./table.ts";
import { byteSize, duration, mebibytes, percent, span } from "./units.ts";
import type { View } from "./view.ts";

const times = (factor: number): string => `${Number(factor.toPrecision(2))} ×`;
const known = (share: number | null): string => (share === null ? "-" : percent(share));

export const brainStatusView: View<BrainStatus> = {
  text: (brain, page) =>
    renderDetails(
      [
        ["Experiences", `${brain.experiences} runs of ${brain.families} kinds of task`],
        ["Decisions", `${brain.decisions} made, ${brain.finished} learned from`],
        ["Out of memory", `${brain.outOfMemory} runs`],
        ["Coverage", `${known(brain.coverage)} of peaks lay where expected (aim: 90%)`],
        [
          "Waste",
          `${brain.wasteGibHours.brain.toFixed(2)} GiB·h; as requested it were ${brain.wasteGibHours.request.toFixed(2)}, as Kubernetes' autoscaler has it ${brain.wasteGibHours.vpa.toFixed(2)}`,
        ],
        [
          "Explored",
          `${brain.exploredRuns} runs${brain.exploredRuns === 0 ? "" : `, ${percent(brain.exploredFailedShare)} failed`}`,
        ],
        [
          "Least certain",
          brain.uncertain
            .map(({ family, heldShare }) => `${printableLine(family)} (${percent(heldShare)} held)`)
            .join("\n") || undefined,
        ],
        ["Model", String(brain.modelVersion)],
      ],
      page,
    ),
  names: ({ modelVersion }) => [String(modelVersion)],
};

export const knowledgeView = listView<FamilyKnowledge>({
  name: ({ family }) => family,
  columns: [
    { header: "KIND", text: ({ family }) => printableLine(family), least: 12 },
    { header: "RUNS", text: ({ samples }) => String(samples), right: true },
    {
      header: "PEAK",
      text: ({ leastPeakMib, mostPeakMib }) =>
        span(mebibytes(leastPeakMib), mebibytes(mostPeakMib)),
      drop: 1,
    },
    {
      header: "10 × INPUT",
      text: ({ growth }) =>
        growth === null
          ? "-"
          : `${times(growth.memoryPerTenfold)} memory, ${times(growth.timePerTenfold)} time`,
      drop: 4,
    },
    {
      header: "INPUT",
      text: ({ growth }) =>
        growth === null
          ? "-"
          : span(byteSize(growth.leastInputBytes), byteSize(growth.mostInputBytes)),
      wide: true,
      drop: 8,
    },
    { header: "HELD", text: ({ heldShare }) => known(heldShare), right: true, drop: 2 },
    {
      header: "WORK",
      text: ({ workSeconds }) => (workSeconds === null ? "-" : duration(workSeconds)),
      right: true,
      drop: 3,
    },
    {
      header: "COVERAGE",
      text: ({ intervalCoverage }) => known(intervalCoverage),
      right: true,
      wide: true,
      drop: 4,
    },
    {
      header: "SERIAL",
      text: ({ serialShare }) => known(serialShare),
      right: true,
      wide: true,
      drop: 5,
    },
    {
      header: "GPUS",
      text: ({ busyGpus }) => (busyGpus === null ? "-" : busyGpus.toFixed(1)),
      right: true,
      wide: true,
      drop: 6,
    },
    { header: "ELASTIC", text: ({ elastic }) => (elastic ? "yes" : "no"), wide: true, drop: 7 },
  ],
});

export const explanationView: View<Explanation> = {
  text: (explanation, page) => {
    const { resources, recalled, considered } = explanation;
    const details = renderDetails(
      [
        ["Decision", explanation.decision],
        [
          "Task",
          explanation.task === null
            ? undefined
            : `${explanation.task}, attempt ${explanation.attempt}`,
        ],
        ["Kind", printableLine(explanation.family)],
        ["Domain", `${explanation.domain} (${percent(explanation.domainConfidence)} sure)`],
        ["Input", byteSize(explanation.inputBytes)],
        [
          "Given",
          `${resources.cpu} CPU, ${mebibytes(resources.memoryMib)}, ${duration(resources.timeLimitSeconds)} at most, image ${resources.image}`,
        ],
        [
          "Expected",
          explanation.expectedMemoryMib === null
            ? undefined
            : `a peak of ${span(mebibytes(explanation.expectedMemoryMib.low), mebibytes(explanation.expectedMemoryMib.high))}`,
        ],
        [
          "Run time",
          explanation.expectedSeconds === null
            ? undefined
            : span(
                duration(explanation.expectedSeconds.low),
                duration(explanation.expectedSeconds.high),
              ),
        ],
        ["Confidence", `${percent(explanation.confidence)} that the memory is enough`],
        ["Why", explanation.reasons.map((each) => `- ${printableLine(each)}`).join("\n")],
      ],
      page,
    );
    if (!page.wide) return details;
    const parts = [details];
    if (recalled.length > 0) {
      const columns = [
        { header: "RECALLED", text: (row: (typeof recalled)[number]) => row.experience, least: 10 },
        { header: "KIND", text: (row: (typeof recalled)[number]) => printableLine(row.family) },
        { header: "ALIKE", text: (row: (typeof recalled)[number]) => percent(row.similarity) },
      ];
      parts.push(renderTable(columns, recalled, page));
    }
    if (considered.length > 0) {
      const columns = [
        {
          header: "CONSIDERED",
          text: (row: (typeof considered)[number]) => printableLine(row.name),
        },
        { header: "MEMORY", text: (row: (typeof considered)[number]) => mebibytes(row.memoryMib) },
        { header: "COST", text: (row: (typeof considered)[number]) => row.relativeCost.toFixed(2) },
      ];
      parts.push(renderTable(columns, considered, page));
    }
    parts.push(wrap(printable(explanation.text), page.width));
    return parts.join("\n\n");
  },
  names: ({ decision }) => [decision],
};

export const optimisationView: View<Optimisation> = {
  text: ({ actions }, page) =>
    actions.length === 0
      ? "nothing to improve"
      : renderTable(
          [
            { header: "KIND", text: ({ kind }) => kind, least: 10 },
            { header: "SUBJECT", text: ({ subject }) => subject, least: 8 },
            { header: "VALUE", text: ({ value }) => String(value), right: true, drop: 3 },
            { header: "DONE", text: ({ done }) => (done ? "yes" : "no"), drop: 2 },
            { header: "REASON", text: ({ reason }) => printableLine(reason), least: 16, drop: 4 },
            {
              header: "GAIN",
              text: ({ expectedGain, realisedGain }) => (realisedGain ?? expectedGain).toFixed(1),
              right: true,
              wide: true,
              drop: 5,
            },
            { header: "ID", text: ({ id }) => id, wide: true, least: 8, drop: 6 },
          ],
          actions,
          page,
        ),
  names: ({ actions }) => actions.map(({ id }) => id),
};
