import fc from "fast-check";
import { expect, test } from "vitest";
import { createUnderstander, understand } from "./index.ts";

test("the project's own example → mining, with sizes and reasons in plain words", () => {
  const analysis = understand({
    description: "Process mining MAG survey",
    data: { survey_id: "MAG-001", points: 50_000 },
    files: [{ name: "lines.xyz", bytes: 1_200_000 }],
  });
  expect(analysis).toMatchObject({ domain: "mining", decided: true });
  expect(analysis.confidence).toBeGreaterThan(0.8);
  expect(analysis.features).toEqual({ points: 50_000, files: 1, bytes: 1_200_000 });
  expect(analysis.reasons.join("; ")).toContain("mining");
  expect(Object.values(analysis.domains).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
});

test.each([
  ["Seismische Daten verarbeiten und Erdbeben lokalisieren", "geophysics"],
  ["Entrenar una red neuronal con nuestras imágenes", "ml-training"],
  ["Générer un maillage 3D pour le jeu", "3d-generation"],
  ["обучить нейронную сеть", "ml-training"],
  ["地震データの処理", "geophysics"],
])("%s → %s, in its own language", (description, domain) => {
  expect(understand({ description }).domain).toBe(domain);
});

test.each(["", "   \n\t", "zxqv wrtl", "\u0000\u0007\u001b[31m", "🙂🙂🙂", "12 34"])(
  "nothing to go by (%j) → general compute, unsure, and it says so",
  (description) => {
    const analysis = understand({ description });
    expect(analysis).toMatchObject({ domain: "general", decided: false });
    expect(analysis.confidence).toBeLessThan(0.5);
    expect(analysis.reasons.join()).toContain("general compute");
  },
);

test("two tellings of one task → one family; another task → another", () => {
  const family = (description: string) => understand({ description }).family;
  expect(family("process the mining MAG survey 12!")).toBe(family("Process mining MAG survey"));
  expect(family("Process mining MAG survey")).not.toBe(family("Transcode the video to H.264"));
});

test("a remembered family → also the key of a near telling", () => {
  const understander = createUnderstander();
  const first = understander.understand({
    description: "grid the flight line readings of survey A",
  });
  understander.confirm(first);
  const again = understander.understand({
    description: "grid flight line readings of the survey B",
  });
  expect(again.family).toBe(first.family);
});

test("a correction → the same and near words follow, far ones stay, and state carries it", () => {
  const understander = createUnderstander();
  const task = { description: "Fold the ribosome with the usual parameters" };
  const far = { description: "Stack and migrate the seismic line" };
  const before = understander.understand(far);
  understander.correct(understander.understand(task), "biology");
  const reopened = createUnderstander(JSON.parse(JSON.stringify(understander.save())));
  for (const taught of [understander, reopened]) {
    const after = taught.understand(task);
    expect(after).toMatchObject({ domain: "biology", decided: true });
    expect(after.confidence).toBeGreaterThan(0.7);
    expect(taught.domains).toContain("biology");
    expect(taught.understand({ description: "fold ribosome, usual parameters" }).domain).toBe(
      "biology",
    );
    expect(taught.understand(far)).toMatchObject({ domain: before.domain });
  }
});

test("ten thousand hostile corrections of one text → other texts keep their domain", () => {
  const understander = createUnderstander();
  const lie = understander.understand({ description: "buy cheap watches now" });
  for (let i = 0; i < 10_000; i++) understander.correct(lie, "mining");
  const honest = understander.understand({ description: "Train a CNN for 30 epochs" });
  expect(honest.domain).toBe("ml-training");
  expect(understander.save().examples).toHaveLength(1);
});

test("data of arrays, nested objects and words with numbers → sizes under one name", () => {
  const analysis = understand({
    description: "fit 2.5 million rows for 30 epochs, 4 GB",
    data: {
      grid: { nPoints: 100, offset: -5 },
      table: [
        { a: 1, b: 2 },
        { a: 3, b: 4 },
      ],
    },
  });
  expect(analysis.features).toMatchObject({ epochs: 30, bytes: 4e9, columns: 2, elements: 2 });
  expect(analysis.features).not.toHaveProperty("offset");
});

const circular: Record<string, unknown> = {};
circular["self"] = circular;
let deep: unknown = 1;
for (let i = 0; i < 100_000; i++) deep = { deep };

test.each<[string, unknown]>([
  ["a cycle", circular],
  ["100,000 levels", deep],
  ["a million elements", Array.from({ length: 1_000_000 }, (_, at) => at)],
  ["a million objects in a list", Array.from({ length: 1_000_000 }, () => ({ x: 1 }))],
  ["prototype keys", JSON.parse('{"__proto__":{"points":1},"constructor":5,"toString":7}')],
  ["50,000 keys", Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`k${at}`, at]))],
])("%s in the data → an answer with at most 64 features", (_, data) => {
  const analysis = understand({ description: "grid the survey", data });
  expect(Object.keys(analysis.features).length).toBeLessThanOrEqual(64);
  for (const value of Object.values(analysis.features)) expect(value).toBeGreaterThanOrEqual(0);
});

test.each<[string, unknown, string]>([
  ["NaN", { points: Number.NaN }, "QZ_BRAIN_DATA_INVALID"],
  ["infinity", [1, Infinity], "QZ_BRAIN_DATA_INVALID"],
  ["a function", { run: () => 1 }, "QZ_BRAIN_DATA_INVALID"],
  ["a bigint", 5n, "QZ_BRAIN_DATA_INVALID"],
])("%s in the data → %s", (_, data, code) => {
  expect(() => understand({ description: "x", data })).toThrow(expect.objectContaining({ code }));
});

test("broken descriptions, files, domains and states → their codes", () => {
  const code = (name: string) => expect.objectContaining({ code: name }) as Error;
  const broken = { description: 5 } as unknown as { description: string };
  expect(() => understand(broken)).toThrow(code("QZ_BRAIN_DESCRIPTION_INVALID"));
  for (const bytes of [-1, Number.NaN, Infinity]) {
    expect(() => understand({ description: "x", files: [{ name: "a", bytes }] })).toThrow(
      code("QZ_BRAIN_FILES_INVALID"),
    );
  }
  const understander = createUnderstander();
  const analysis = understander.understand({ description: "grid the survey" });
  for (const domain of ["", "__proto__", "A b", "x".repeat(65)]) {
    expect(() => understander.correct(analysis, domain)).toThrow(code("QZ_BRAIN_DOMAIN_INVALID"));
  }
  for (let i = 0; i < 58; i++) understander.correct(analysis, `new-${i}`);
  expect(() => understander.correct(analysis, "one-more")).toThrow(code("QZ_BRAIN_DOMAINS_FULL"));
  expect(() =>
    createUnderstander({ version: 1, examples: [["AAAA", "mining", 1]], families: [] }),
  ).toThrow(code("QZ_BRAIN_STATE_INVALID"));
});

test("a megabyte of one word, of words, of combining marks → an answer", () => {
  for (const piece of ["a", "ore ", "e\u0301\u0301", "1,000,", "３Ｄ ", "鉱"]) {
    const analysis = understand({ description: piece.repeat((1 << 20) / piece.length) });
    expect(analysis.embedding).toHaveLength(256);
  }
});

test("any text and JSON value → probabilities that sum to 1, a unit or zero vector, the same twice", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.jsonValue(),
      (description, data) => {
        const analysis = understand({ description, data });
        const sum = Object.values(analysis.domains).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(1, 6);
        expect(analysis.confidence).toBe(analysis.domains[analysis.domain]);
        const length = Math.hypot(...analysis.embedding);
        expect(Math.min(Math.abs(length - 1), length)).toBeLessThan(1e-5);
        expect(understand({ description, data })).toEqual(analysis);
      },
    ),
    { numRuns: 60 },
  );
});
