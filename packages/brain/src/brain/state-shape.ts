import { list, maybe, numbers, record, type Shape, tuple } from "../saved-shape.ts";
import { SIZER_SHAPE } from "../sizer/sizer-shape.ts";

const explorer = record({ seed: "number", tried: "number", recent: numbers });

const recommendation: Record<string, Shape> = {
  id: "string",
  kind: "string",
  sizeClass: "string",
  value: "anything",
  from: "number",
  until: "number",
  expectedGain: "number",
  reason: "string",
};

const family = record({
  family: "string",
  throughput: record({
    samples: "number",
    serial: tuple("number", "number"),
    longest: "number",
    ratios: numbers,
    line: numbers,
    range: tuple("number", "number"),
    widths: numbers,
  }),
  gpus: tuple("number", "number"),
  images: list(tuple("string", "number")),
});

/** What a brain's state of the current version holds; what older versions did not know may be missing. */
export const BRAIN_SHAPE: Shape = record({
  version: "number",
  at: "number",
  nextId: maybe("number"),
  memory: SIZER_SHAPE,
  disk: maybe(SIZER_SHAPE),
  // The understander checks its own.
  understanding: "anything",
  families: maybe(list(family)),
  vcpuExplorer: maybe(explorer),
  memoryExplorer: maybe(explorer),
  arrivals: maybe(
    record({
      classes: list(tuple("string", "number", numbers)),
      gaps: list(tuple("string", "number", numbers)),
    }),
  ),
  recommendations: maybe(
    record({
      open: list(record(recommendation)),
      scored: list(record({ ...recommendation, realisedGain: "number" })),
    }),
  ),
  scores: maybe(
    record({
      finished: "number",
      oom: "number",
      wasteGibHours: record({ brain: "number", request: "number", vpa: "number" }),
      covered: numbers,
    }),
  ),
  runs: maybe(list(record({ memoryMib: "number", hours: "number", at: "number" }))),
  learned: maybe(list("string")),
});
