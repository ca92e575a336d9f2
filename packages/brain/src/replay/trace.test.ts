import { isQueztlError } from "@queztl/errors";
import { describe, expect, test } from "vitest";

import { parseTraces } from "./trace.ts";

const header = "trace,family,input_bytes,peak_mib,runtime_s,request_mib,start_s,end_s";

function problemOf(csv: string): string {
  try {
    parseTraces(csv, "x.csv");
  } catch (error) {
    if (isQueztlError(error, "QZ_BRAIN_TRACE_INVALID")) return error.message;
    throw error;
  }
  return "none";
}

describe("parseTraces", () => {
  test("rows of two traces out of order → each trace by start, ties in the file's order", () => {
    const traces = parseTraces(
      `${header}\na,f,1,2,3,,9,10\nb,f,1,2,3,64,1,2\na,g,1,2,3,,4,5\na,h,1,2,3,,4,5\n`,
    );
    expect([...traces.keys()]).toEqual(["a", "b"]);
    expect(traces.get("a")?.map(({ family }) => family)).toEqual(["g", "h", "f"]);
    expect(traces.get("b")?.[0]?.requestMib).toBe(64);
    expect(traces.get("a")?.[0]?.requestMib).toBeUndefined();
  });

  test.each([
    ["trace,family\n", "line 1"],
    [`${header}\na,f,1,2,3\n`, "line 2: it has 5 cells"],
    [`${header}\na,f,1,x,3,,1,2\n`, 'peak_mib cannot be "x"'],
    [`${header}\na,f,-1,2,3,,1,2\n`, 'input_bytes cannot be "-1"'],
    [`${header}\na,f,1,2,Infinity,,1,2\n`, "runtime_s"],
    [`${header}\na,f,1,2,3,0,1,2\n`, "request_mib"],
    [`${header}\na,f,1,2,3,,2,1\n`, "ends before it starts"],
    [`${header}\na,,1,2,3,,1,2\n`, "empty"],
  ])("%j → a coded error that says %j", (csv, said) => {
    expect(problemOf(csv)).toContain(said);
  });
});
