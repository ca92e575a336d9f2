/**
 * `pnpm bench [name…] [--rounds=N] [--quick] [--case=TEXT [--keep]]`: runs `benchmarks/<name>.bench.ts` (all without a
 * name), prints a table for each, and writes `benchmarks/results/<name>.json`. `--quick` takes three
 * rounds, to see that a bench works; `--case` runs only those with the text in their name, or of that group. Both write nothing,
 * but with `--keep` the cases that ran take their places among the results that were written before.
 */
import { globSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Bench, Case } from "./bench.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { groupMeans } from "./means.ts";
import { provide } from "./peers.ts";
import { readRecord, recordOf, writeRecord } from "./record.ts";
import { runSession } from "./session.ts";
import { meansTable, table } from "./table.ts";

const folder = join(import.meta.dirname, "..");
const known = globSync("*.bench.ts", { cwd: folder })
  .map((path) => path.replace(".bench.ts", ""))
  .sort();
const USAGE = `Usage: pnpm bench [NAME…] [--rounds=N] [--quick] [--case=TEXT [--keep]]

  NAME         ${known.join(", ")}; all unless given
  --rounds=N   How many rounds, the peers in turns; a bench has its own number
  --quick      Three rounds, to see that it works; nothing is written
  --case=TEXT  Only cases with that in their name, or of that group; nothing is written
  --keep       What --case has measured takes its place among the results written before

Examples:
  pnpm bench cpu --quick --case=double
  pnpm bench virtio --rounds=5`;

const { values, positionals } = parsed();
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(", ")}; there are: ${known.join(", ")}.`);
  process.exit(2);
}

if (values.rounds !== undefined && !/^[1-9]\d{0,3}$/.test(values.rounds)) {
  console.error(`--rounds must be a number from 1 to 9999, not ${values.rounds}.`);
  process.exit(2);
}

const machine = describeMachine();
console.log(
  `${machine.cpu}, ${machine.threads} threads, ${machine.memoryGiB} GiB, ${machine.system}, ` +
    `Node.js ${machine.node}, load ${machine.load}`,
);
for (const name of positionals.length > 0 ? positionals : known) await runBench(name);
// What a bench left running, such as guests, goes with this.
process.exit();

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        case: { type: "string", default: "" },
        keep: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (problem) {
    console.error(`${problem instanceof Error ? problem.message : String(problem)}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function runBench(name: string): Promise<void> {
  const path = pathToFileURL(join(folder, `${name}.bench.ts`)).href;
  const { default: all } = (await import(path)) as { default: Bench };
  const bench = { ...all, cases: all.cases.filter(isWanted) };
  const rounds = Number(values.rounds ?? (values.quick ? 3 : (bench.rounds ?? 15)));
  console.log(`\n${name}: ${bench.summary}`);
  const cases = await runSession(bench, {
    rounds,
    provide: ({ needs }) => provide(needs ?? {}),
    ...(process.stderr.isTTY && { progress: (line) => process.stderr.write(`\r\u001b[K${line}`) }),
  });
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  console.log(table(cases));
  const means = groupMeans(cases);
  if (means.length > 0) console.log(`\n${meansTable(means)}`);
  console.log("A ratio above 1 says that ours is better; medians of interleaved rounds.");
  if (values.quick || (values.case !== "" && !values.keep)) return;
  const file = join(folder, "results", `${name}.json`);
  const run = {
    bench: name,
    summary: bench.summary,
    date: new Date().toISOString(),
    commit: describeCommit(join(folder, "..")),
    machine,
    rounds,
  };
  const before = values.keep ? readRecord(file) : undefined;
  const names = all.cases.map((each) => each.name);
  writeRecord(file, recordOf(run, cases, { names, before }));
  console.log(`Written to benchmarks/results/${name}.json`);
}

function isWanted({ name, group }: Case): boolean {
  return name.includes(values.case) || group === values.case;
}
