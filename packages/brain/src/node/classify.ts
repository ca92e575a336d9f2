import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fault } from "../errors.ts";
import { understand } from "../understand/index.ts";

export const classifyHelp = `Usage: queztl-brain classify [DESCRIPTION] [options]

Says which domain a task belongs to, how sure that is, and why. Without a DESCRIPTION it reads one
a line from standard input.

  --data JSON   the task's data
  --json        print one JSON object a description`;

/** The text `queztl-brain classify` prints. Throws `QZ_BRAIN_USAGE` and what `understand` throws. */
export function classifyCommand(args: readonly string[]): string {
  const { values, positionals } = parsed(args);
  if (values.help === true) return classifyHelp;
  const data = values.data === undefined ? undefined : parsedData(values.data);
  const descriptions =
    positionals.length > 0
      ? [positionals.join(" ")]
      : readFileSync(0, "utf8")
          .split(/\r?\n/)
          .filter((line) => line.trim() !== "");
  return descriptions
    .map((description) => {
      const { embedding: _, ...analysis } = understand({ description, data });
      if (values.json === true) return JSON.stringify({ description, ...analysis });
      const sure = `${Math.round(100 * analysis.confidence)} %`;
      const heading = `${analysis.domain} (${sure}), family ${analysis.family}`;
      return [heading, ...analysis.reasons.map((reason) => `  - ${reason}`)].join("\n");
    })
    .join("\n");
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        data: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw fault("QZ_BRAIN_USAGE", { problem }, { cause });
  }
}

function parsedData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fault("QZ_BRAIN_USAGE", { problem: "--data is not JSON" }, { cause });
  }
}
