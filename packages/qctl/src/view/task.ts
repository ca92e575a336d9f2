import type { ResultFile, Task, TaskSummary } from "../resources.ts";
import { renderDetails } from "./details.ts";
import { listView } from "./list-view.ts";
import { type Paint, paintState } from "./paint.ts";
import { printableLine } from "./printable.ts";
import { age, byteSize, duration, mebibytes, percent } from "./units.ts";
import type { Page, View } from "./view.ts";

export type Attempt = Task["attempts"][number];

const took = (
  { startedAt, endedAt }: { readonly startedAt: string | null; readonly endedAt: string | null },
  now: Date,
): string => {
  if (startedAt === null) return "-";
  const end = endedAt === null ? now.getTime() : Date.parse(endedAt);
  return duration(Math.max(0, (end - Date.parse(startedAt)) / 1000));
};

export const taskListView = listView<TaskSummary>({
  name: ({ id }) => id,
  columns: [
    { header: "ID", text: ({ id }) => id, least: 12 },
    {
      header: "STATE",
      text: ({ state }) => state,
      style: ({ state }, text, { paint }) => (text === state ? paintState(paint, text) : text),
    },
    {
      header: "DESCRIPTION",
      text: ({ description }) => printableLine(description),
      least: 12,
      drop: 1,
    },
    {
      header: "KIND",
      text: ({ family }) => (family === null ? "-" : printableLine(family)),
      least: 8,
      drop: 5,
    },
    { header: "TOOK", text: (task, { now }) => took(task, now), right: true, drop: 4 },
    { header: "AGE", text: ({ createdAt }, { now }) => age(createdAt, now), right: true, drop: 3 },
    { header: "ATTEMPT", text: ({ attempt }) => String(attempt), right: true, wide: true, drop: 6 },
    {
      header: "PRIORITY",
      text: ({ priority }) => String(priority),
      right: true,
      wide: true,
      drop: 7,
    },
    { header: "DOMAIN", text: ({ domain }) => domain ?? "-", wide: true, least: 6, drop: 8 },
    { header: "SUBMITTED", text: ({ createdAt }) => createdAt, wide: true, drop: 9 },
  ],
});

export const taskView: View<Task> = {
  text: (task, page) => {
    const attempts = task.attempts.map((each) => attemptText(each, page)).join("\n");
    const details = renderDetails(
      [
        ["Task", task.id],
        ["State", paintState(page.paint, task.state)],
        ["Progress", progressText(task)],
        ["Problem", task.problem === null ? undefined : printableLine(task.problem.message)],
        ["Description", printableLine(task.description)],
        ["Kind", task.family === null ? undefined : printableLine(task.family)],
        ["Domain", task.domain ?? undefined],
        ["Image", task.image ?? undefined],
        ["Command", task.command === null ? undefined : printableLine(task.command.join(" "))],
        ["Data", task.data === undefined ? undefined : shortJson(task.data, page)],
        ["Priority", task.priority === 0 ? undefined : String(task.priority)],
        ["Deadline", task.deadline ?? undefined],
        ["Submitted", `${age(task.createdAt, page.now)} ago (${task.createdAt})`],
        ["Took", task.startedAt === null ? undefined : took(task, page.now)],
        ["Attempts", attempts === "" ? undefined : attempts],
        ["Result", task.result === undefined ? undefined : shortJson(task.result, page)],
        ["Learned", task.learned.map(printableLine).join("\n") || undefined],
      ],
      page,
    );
    return details;
  },
  names: ({ id }) => [id],
};

/** What became of tasks: a line each. */
export const taskStatesView: View<{ readonly items: readonly Task[] }> = {
  text: ({ items }, { paint }) =>
    items.map(({ id, state }) => `${id} ${paintState(paint, state)}`).join("\n"),
  names: ({ items }) => items.map(({ id }) => id),
};

/** The outcome of a task that was waited for: its result alone. */
export const taskResultView: View<Task> = {
  text: (task, page) =>
    task.result === undefined ? taskView.text(task, page) : JSON.stringify(task.result, null, 2),
  names: ({ id }) => [id],
};

function attemptText(attempt: Attempt, { paint, wide, now }: Page): string {
  const { resources, peakMib, outcome, exitCode } = attempt;
  const parts = [
    `${attempt.number}:`,
    outcome === null ? paintState(paint, "running") : paintState(paint, outcome),
    exitCode === null || exitCode === 0 ? "" : `(exit ${exitCode})`,
    `after ${took(attempt, now)}`,
    resources === null ? "" : `with ${resources.cpu} CPU, ${mebibytes(resources.memoryMib)}`,
    peakMib === null ? "" : `(peak ${mebibytes(peakMib)})`,
    wide && attempt.vm !== null ? `in ${attempt.vm}` : "",
  ];
  const steps = attempt.steps.map((step) => stepText(step, paint)).join(" ");
  return [parts.filter(Boolean).join(" "), wide ? steps : ""].filter(Boolean).join("\n");
}

/** How far a task says it is, such as `45% grid: 200 x 200 nodes`. */
export function progressText({ progress }: Pick<Task, "progress">): string | undefined {
  if (progress === null) return undefined;
  const words = [progress.step, progress.message].filter(Boolean).join(": ");
  return printableLine(`${percent(progress.done)} ${words}`);
}

const STEP_MARKS = { waiting: "○", running: "▸", done: "✓", failed: "✗" } as const;
const STEP_COLOURS = { waiting: "gray", running: "cyan", done: "green", failed: "red" } as const;

/** A step with its mark and how long it took. */
export function stepText(step: Attempt["steps"][number], paint: Paint): string {
  const mark = paint(STEP_COLOURS[step.state], STEP_MARKS[step.state]);
  const time = step.milliseconds === null ? "" : ` ${duration(step.milliseconds / 1000)}`;
  return `${mark} ${step.step}${time}`;
}

const LONGEST_JSON = 400;

function shortJson(value: unknown, { wide }: Page): string {
  const text = JSON.stringify(value);
  if (wide || text.length <= LONGEST_JSON) return printableLine(text);
  return `${printableLine(text.slice(0, LONGEST_JSON))}… (${byteSize(text.length)}; -o json shows all)`;
}

export const resultFileListView = listView<ResultFile>({
  name: ({ name }) => name,
  columns: [
    { header: "NAME", text: ({ name }) => printableLine(name), least: 12 },
    { header: "SIZE", text: ({ bytes }) => byteSize(bytes), right: true, drop: 1 },
    { header: "SHA-256", text: ({ sha256 }) => sha256, wide: true, least: 12, drop: 2 },
  ],
});
