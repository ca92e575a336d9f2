import { fault } from "../errors.ts";

/** One task of a trace: what it needed, whatever it was given. */
export interface TraceTask {
  readonly trace: string;
  readonly family: string;
  readonly inputBytes: number;
  readonly peakMib: number;
  readonly runtimeSeconds: number;
  /** What its user asked for, where known. */
  readonly requestMib: number | undefined;
  readonly startSeconds: number;
  readonly endSeconds: number;
}

const COLUMNS = "trace,family,input_bytes,peak_mib,runtime_s,request_mib,start_s,end_s";

/**
 * Reads tasks from CSV with exactly the columns above, one task a line and no quotes, and sorts each
 * trace's tasks by their start (those of one instant stay in the file's order). Throws
 * `QZ_BRAIN_TRACE_INVALID` with the line that cannot be read.
 */
export function parseTraces(csv: string, file = "trace"): Map<string, TraceTask[]> {
  const lines = csv.split(/\r?\n/);
  const bad = (line: number, problem: string) =>
    fault("QZ_BRAIN_TRACE_INVALID", { file, line, problem, columns: COLUMNS });
  if (lines[0]?.trim() !== COLUMNS) throw bad(1, "the header is missing or different");
  const traces = new Map<string, TraceTask[]>();
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line.trim() === "") continue;
    const cells = line.split(",");
    if (cells.length !== 8) throw bad(index + 1, `it has ${cells.length} cells instead of 8`);
    const number = (column: number, least: number) => {
      const text = cells[column] as string;
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value) || value < least) {
        throw bad(index + 1, `${COLUMNS.split(",")[column]} cannot be "${text}"`);
      }
      return value;
    };
    const [trace = "", family = "", , , , request = ""] = cells;
    if (trace === "" || family === "") throw bad(index + 1, "trace or family is empty");
    const task = {
      trace,
      family,
      inputBytes: number(2, 0),
      peakMib: number(3, 0),
      runtimeSeconds: number(4, 0),
      requestMib: request.trim() === "" ? undefined : number(5, Number.MIN_VALUE),
      startSeconds: number(6, -Infinity),
      endSeconds: number(7, -Infinity),
    };
    if (task.endSeconds < task.startSeconds) throw bad(index + 1, "it ends before it starts");
    const tasks = traces.get(trace);
    if (tasks === undefined) traces.set(trace, [task]);
    else tasks.push(task);
  }
  for (const tasks of traces.values()) tasks.sort((a, b) => a.startSeconds - b.startSeconds);
  return traces;
}
