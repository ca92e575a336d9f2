import fc from "fast-check";
import { expect, test } from "vitest";
import { createRecall, embedIdentifier, vectorFromBytes, vectorToBytes } from "./index.ts";
import type { RecallEntry } from "./index.ts";

const entry = (id: string, family: string, change: Partial<RecallEntry> = {}): RecallEntry => ({
  id,
  family,
  embedding: embedIdentifier(family),
  features: {},
  outcome: "ok",
  ...change,
});

test("a query by name → the experience of the like-named family first, with its reason", () => {
  const recall = createRecall();
  for (const family of ["fastqc", "adapter_removal", "bwa", "samtools_sort"]) {
    recall.add(entry(family, family));
  }
  const [first, second] = recall.nearest({ family: "FASTQC_TRIM", limit: 2 });
  expect(first?.entry.family).toBe("fastqc");
  expect(first?.reasons[0]).toContain("fastqc");
  expect(first?.similarity).toBeGreaterThan((second?.similarity ?? 1) + 0.2);
});

test("the same words, other sizes → the nearer size first; a cancelled run last", () => {
  const recall = createRecall();
  recall.add(entry("small", "grid", { features: { points: 1000 } }));
  recall.add(entry("large", "grid", { features: { points: 1_000_000 } }));
  recall.add(entry("stopped", "grid", { features: { points: 1000 }, outcome: "cancelled" }));
  const found = recall.nearest({
    embedding: embedIdentifier("grid"),
    features: { points: 1500 },
    limit: 3,
  });
  expect(found.map((match) => match.entry.id)).toEqual(["small", "large", "stopped"]);
  expect(found[0]?.reasons).toContain("the same description");
  expect(recall.nearest({ family: "grid", outcomes: ["oom"] })).toEqual([]);
});

test("adds, replacements and removals in any order → search equals a scan of what is kept", () => {
  const names = ["ab", "cd", "ef", "gh", "ij", "kl"];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(30), fc.constantFrom(...names)), { maxLength: 120 }),
      (steps) => {
        const recall = createRecall();
        const model = new Map<string, string>();
        for (const [adding, number, family] of steps) {
          const id = `e${number}`;
          if (adding) {
            recall.add(entry(id, family));
            model.set(id, family);
          } else {
            expect(recall.remove(id)).toBe(model.delete(id));
          }
        }
        expect(recall.size).toBe(model.size);
        expect(new Map([...recall.entries()].map((kept) => [kept.id, kept.family]))).toEqual(model);
        const found = recall.nearest({ embedding: embedIdentifier("cd"), limit: 100 });
        const same = found.filter((match) => (match.text ?? 0) > 0.999);
        expect(same.map((match) => match.entry.id).sort()).toEqual(
          [...model]
            .filter(([, family]) => family === "cd")
            .map(([id]) => id)
            .sort(),
        );
      },
    ),
  );
});

test("a vector → bytes and back, bit for bit", () => {
  const vector = embedIdentifier("mProject");
  expect(vectorFromBytes(vectorToBytes(vector))).toEqual(vector);
  expect(() => vectorFromBytes(new Uint8Array(8))).toThrow("8 bytes");
});

test("hostile entries → coded errors, and nothing kept", () => {
  const recall = createRecall({ capacity: 1 });
  const nan = new Float32Array(256).fill(Number.NaN);
  const bad: [RecallEntry, string][] = [
    [entry("a", "f", { embedding: nan }), "QZ_BRAIN_VECTOR_INVALID"],
    [entry("a", "f", { embedding: new Float32Array(3) }), "QZ_BRAIN_VECTOR_INVALID"],
    [entry("", "f"), "QZ_BRAIN_RECALL_ENTRY_INVALID"],
    [entry("a", "f".repeat(600)), "QZ_BRAIN_RECALL_ENTRY_INVALID"],
    [entry("a", "f", { features: { rows: -1 } }), "QZ_BRAIN_RECALL_ENTRY_INVALID"],
    [entry("a", "f", { features: { rows: Infinity } }), "QZ_BRAIN_RECALL_ENTRY_INVALID"],
    [entry("a", "f", { outcome: "toString" as "ok" }), "QZ_BRAIN_RECALL_ENTRY_INVALID"],
  ];
  for (const [hostile, code] of bad) {
    expect(() => recall.add(hostile)).toThrow(expect.objectContaining({ code }));
  }
  expect(recall.size).toBe(0);
  recall.add(entry("__proto__", "constructor", { embedding: new Float32Array(256).fill(1e38) }));
  expect(recall.nearest({ embedding: new Float32Array(256).fill(1e-30) })[0]?.text).toBeCloseTo(
    1,
    5,
  );
  expect(() => recall.add(entry("b", "f"))).toThrow(
    expect.objectContaining({ code: "QZ_BRAIN_RECALL_FULL" }),
  );
});
