import { readFile } from "node:fs/promises";
import type { HostedVm, GuestFile } from "../vms/vm-host.ts";
import type { TaskFolder } from "./task-folder.ts";
import type { LogFile } from "./log-file.ts";
import type { TaskPlan } from "./task-plan.ts";
import type { TaskFileRow } from "./task-records.ts";

const RESULT_FILE = "result.json";
const LARGEST_RESULT = 1_000_000;

/**
 * Takes what a program left out of its guest. What a skill's program promised is looked at, unless it failed. Throws
 * `QZ_SERVER_RESULT_TOO_LARGE` and `QZ_SKILLS_OUTPUT_INVALID`.
 */
export async function collectResults(
  vm: HostedVm,
  parts: {
    readonly plan: TaskPlan;
    readonly folder: TaskFolder;
    readonly log: LogFile;
    readonly inputs: readonly TaskFileRow[];
    readonly mostMib: number;
    readonly succeeded: boolean;
  },
): Promise<Awaited<ReturnType<TaskFolder["keepResults"]>>> {
  const { plan, folder, log, inputs, mostMib, succeeded } = parts;
  const rows = await folder.keepResults(leftBy(vm, plan), {
    inputs,
    mostMib,
    passedOver: (name) => {
      const shown = JSON.stringify(name);
      log
        .say("system", `a file with an unusable name was left out: ${shown}\n`)
        .catch(() => undefined);
    },
  });
  if (succeeded && plan.program !== undefined) await folder.verify(rows, plan.program);
  return rows;
}

/** What a task answered: the JSON value in its file `result.json`, if it left one. */
export async function answerIn(
  files: readonly TaskFileRow[],
  folder: TaskFolder,
  log: LogFile,
): Promise<unknown> {
  const file = files.find(({ name, bytes }) => name === RESULT_FILE && bytes <= LARGEST_RESULT);
  if (file === undefined) return undefined;
  const text = await readFile(folder.pathOf(file), "utf8");
  try {
    return storable(JSON.parse(text));
  } catch {
    await log.say("system", `${RESULT_FILE} holds no JSON\n`);
    return undefined;
  }
}

async function* leftBy(vm: HostedVm, { results }: TaskPlan): AsyncGenerator<GuestFile> {
  for (const folder of results) yield* vm.copyOut(folder);
}

/** A guest's JSON as a database keeps it: without NUL and halves of characters. */
function storable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replace(/\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, "\\ufffd"));
}
