import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { qctl } from "./support/cli.ts";
import { liveServer } from "./support/live-server.ts";

const server = liveServer(["images", "templates"]);

interface ShownTask {
  readonly id: string;
  readonly state: string;
  readonly family: string;
  readonly attempts: readonly {
    readonly outcome: string | null;
    readonly peakMib: number;
    readonly wallSeconds: number;
    readonly resources: { readonly memoryMib: number };
  }[];
  readonly result?: Readonly<Record<string, unknown>>;
}

const json = async <Shown>(...words: string[]): Promise<Shown> => {
  const { stdout, stderr, code } = await qctl(...words, "-o", "json");
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Shown;
};

/** What a run has shown: kept for the table at the end. */
interface Run {
  readonly kind: string;
  readonly size: string;
  readonly inputBytes: number;
  readonly givenMib: number;
  readonly peakMib: number;
  readonly seconds: number;
}
const runs: Run[] = [];
afterAll(() => {
  console.table(
    runs.map((run) => ({
      ...run,
      peakMib: Math.round(run.peakMib),
      seconds: Math.round(run.seconds),
    })),
  );
});

/** Submits one sentence, waits, fetches; everything that was promised is there, whole. */
async function does(kind: string, size: string, words: readonly string[]): Promise<Run> {
  const out = join(server.home, `out-${runs.length}`);
  const task = await json<ShownTask>("task", "submit", ...words, "--wait", "--out", out);
  expect(task).toMatchObject({ state: "succeeded", family: kind });
  // A kind that was seen with one size may be given too little for the next: that is one attempt more, and nothing else is.
  const outcomes = task.attempts.map(({ outcome }) => outcome);
  const attempt = task.attempts.at(-1);
  if (attempt === undefined || !/^(oom,)?ok$/.test(String(outcomes))) {
    throw new Error(`${task.id}: its attempts ended ${outcomes.join(", ")}`);
  }
  if (kind !== "general-compute") {
    const text = readFileSync(join(out, "manifest.json"), "utf8");
    const { files } = JSON.parse(text) as { files: { name: string; sha256: string }[] };
    expect(files.map(({ name }) => name)).toContain("report.html");
    for (const { name, sha256 } of files) {
      const bytes = readFileSync(join(out, name));
      expect(createHash("sha256").update(bytes).digest("hex"), name).toBe(sha256);
    }
    expect(task.result).toEqual(JSON.parse(readFileSync(join(out, "result.json"), "utf8")));
  }
  const decided = await json<{ inputBytes: number; repeats: boolean }>("brain", "explain", task.id);
  expect(decided.repeats).toBe(true);
  const run = {
    kind,
    size,
    inputBytes: decided.inputBytes,
    givenMib: attempt.resources.memoryMib,
    peakMib: attempt.peakMib,
    seconds: attempt.wallSeconds,
  };
  runs.push(run);
  return run;
}

/** The sentence, and its two inputs: made ones are labelled SYNTHETIC in what comes out. */
const WORK = [
  [
    "magnetic-survey",
    "Process mining MAG survey",
    ["2,000 points", { survey_id: "MAG-001", points: 2000 }],
    ["20,000 points", { survey_id: "MAG-001", points: 20_000 }],
  ],
  [
    "gravity-reduction",
    "Reduce the gravity survey",
    ["100 stations", { survey_id: "GRAV-001", stations: 100 }],
    ["1,000 stations", { survey_id: "GRAV-001", stations: 1000 }],
  ],
  [
    "seismic-traces",
    "Process the seismic traces",
    ["120 traces", { survey_id: "LINE-001", traces: 120 }],
    ["1,200 traces", { survey_id: "LINE-001", traces: 1200 }],
  ],
  [
    "shape-to-mesh",
    "Generate a 3D mesh",
    ["16 cells an edge", { example: "gyroid", resolution: 16 }],
    ["40 cells an edge", { example: "gyroid", resolution: 40 }],
  ],
  [
    "train-model",
    "Train a classifier",
    ["300 rows", { rows: 300, rounds: 30, epochs: 30 }],
    ["3,000 rows", { rows: 3000, rounds: 30, epochs: 30 }],
  ],
] as const;

for (const [kind, sentence, [smallSize, smallData], [largeSize, largeData]] of WORK) {
  test(`${kind}: "${sentence}", ${smallSize} and ${largeSize} → its files, and what the brain learned`, async () => {
    const small = await does(kind, smallSize, [sentence, "--data", JSON.stringify(smallData)]);
    const large = await does(kind, largeSize, [sentence, "--data", JSON.stringify(largeData)]);
    expect(await knownAs(kind)).toMatchObject(grown(small, large));
  });
}

test("predict: with the model that was trained, 300 and 3,000 rows of a table", async () => {
  const model = join(server.home, `out-${runs.length - 1}`, "model.onnx");
  const table = (rows: number) => {
    const path = join(server.home, `rows-${rows}.csv`);
    const line = (at: number) =>
      Array.from({ length: 6 }, (_, column) => Math.sin(at * 7 + column * 3).toFixed(6)).join(",");
    writeFileSync(
      path,
      ["x1,x2,x3,x4,x5,x6", ...Array.from({ length: rows }, (_, at) => line(at)), ""].join("\n"),
    );
    return ["Run inference with the trained model", "--file", model, "--file", path];
  };
  const small = await does("predict", "300 rows", table(300));
  const large = await does("predict", "3,000 rows", table(3000));
  expect(await knownAs("predict")).toMatchObject(grown(small, large));
});

test("general-compute: a command in the smallest image, 1 and 10 MB in and out", async () => {
  const words = (bytes: number) => {
    const path = join(server.home, `words-${bytes}.txt`);
    writeFileSync(path, "the quick brown fox jumps\n".repeat(bytes / 26));
    const command = 'sort < "$(ls *.txt)" > "$QUEZTL_OUT/sorted.txt"';
    return [
      "Sort the lines",
      "--image",
      "base",
      "--kind",
      "general-compute",
      "--file",
      path,
      "--command",
      command,
    ];
  };
  const small = await does("general-compute", "1 MB", words(1_040_000));
  expect(statSync(join(server.home, `out-${runs.length - 1}`, "sorted.txt")).size).toBe(1_040_000);
  const large = await does("general-compute", "10 MB", words(10_400_000));
  expect(await knownAs("general-compute")).toMatchObject(grown(small, large));
});

/** The brain's record of a kind of task, as its own command shows it. */
async function knownAs(kind: string): Promise<Known & { readonly shown: boolean }> {
  const { items } = await json<{ items: Known[] }>("brain", "knowledge", kind);
  const { stdout } = await qctl("brain", "knowledge", kind);
  const [known] = items;
  if (known === undefined || items.length > 1) throw new Error(`${items.length} are known`);
  return { ...known, shown: /[\d.]+ × memory, [\d.]+ × time/.test(stdout) };
}

/** What two runs must have taught: how both grew from one to the other, be it that memory did not. */
function grown(small: Run, large: Run): object {
  const tenfolds = Math.log10(large.inputBytes / small.inputBytes);
  const times = (of: (run: Run) => number) => (of(large) / of(small)) ** (1 / tenfolds);
  return {
    samples: 2,
    leastPeakMib: expect.closeTo(Math.min(small.peakMib, large.peakMib), 0),
    mostPeakMib: expect.closeTo(Math.max(small.peakMib, large.peakMib), 0),
    growth: {
      leastInputBytes: small.inputBytes,
      mostInputBytes: large.inputBytes,
      memoryPerTenfold: expect.closeTo(
        times(({ peakMib }) => peakMib),
        3,
      ),
      timePerTenfold: expect.closeTo(
        times(({ seconds }) => seconds),
        3,
      ),
    },
    shown: true,
  };
}

interface Known {
  readonly samples: number;
  readonly leastPeakMib: number;
  readonly mostPeakMib: number;
  readonly growth: {
    readonly leastInputBytes: number;
    readonly mostInputBytes: number;
    readonly memoryPerTenfold: number;
    readonly timePerTenfold: number;
  } | null;
}
