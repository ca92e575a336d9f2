import { list, maybe, numbers, record, type Shape, tuple } from "../saved-shape.ts";

const pairs = list(tuple("number", "number"));

const bank = record({
  samples: "number",
  meanCost: "number",
  min: "number",
  max: "number",
  highest: numbers,
  failureFloorMib: "number",
  waiting: "number",
  openFailures: list(record({ inputBytes: "number", allocatedMib: "number" })),
  lastAt: "number",
  hits: numbers,
  interval: record({ ratios: numbers, missRate: "number", covered: numbers }),
  elastic: record({ recent: pairs, enoughMib: maybe("number"), failedMib: "number" }),
  histogram: record({ origin: "number", total: "number", weights: pairs }),
  window: record({ inputs: numbers, peaks: numbers, seconds: numbers, times: numbers }),
  experts: list(tuple("string", "number", numbers, numbers, "number", "number", "number")),
});

/** What `save` of a sizer writes. */
export const SIZER_SHAPE: Shape = record({
  version: "number",
  at: "number",
  pool: list(tuple("string", "number", "number")),
  families: list(record({ name: "string", requestMib: maybe("number"), bank })),
  held: list(
    record({
      family: "string",
      inputBytes: "number",
      requestMib: maybe("number"),
      allocatedMib: "number",
      peakMib: "number",
      runtimeSeconds: "number",
      outcome: "string",
      at: "number",
    }),
  ),
});
