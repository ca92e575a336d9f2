/**
 * `pnpm bench [name…] [--rounds=N] [--quick]`: runs `benchmarks/<name>.bench.ts` (all without a
 * name), prints a table for each, and writes `benchmarks/results/<name>.json`. `--quick` takes three
 * rounds, to see that a bench works, and writes nothing.
 */
import { globSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Bench } from "./bench.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { provide } from "./peers.ts";
import { runSession } from "./session.ts";
import { table } from "./table.ts";

const folder = join(import.meta.dirname, "..");
const known = globSync("*.bench.ts", { cwd: folder })
  .map((path) => path.replace(".bench.ts", ""))
  .sort();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" }, quick: { type: "boolean", default: false } },
});
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(", ")}; there are: ${known.join(", ")}.`);
  process.exit(2);
}

const machine = describeMachine();
console.log(
  `${machine.cpu}, ${machine.threads} threads, ${machine.memoryGiB} GiB, ${machine.system}, ` +
    `Node.js ${machine.node}, load ${machine.load}`,
);
for (const name of positionals.length > 0 ? positionals : known) await runBench(name);

async function runBench(name: string): Promise<void> {
  const path = pathToFileURL(join(folder, `${name}.bench.ts`)).href;
  const { default: bench } = (await import(path)) as { default: Bench };
  const rounds = Number(values.rounds ?? (values.quick ? 3 : (bench.rounds ?? 15)));
  console.log(`\n${name}: ${bench.summary}`);
  const cases = await runSession(bench, {
    rounds,
    provide: ({ needs }) => provide(needs ?? {}),
    ...(process.stderr.isTTY && { progress: (line) => process.stderr.write(`\r\u001b[K${line}`) }),
  });
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  console.log(table(cases));
  console.log("A ratio above 1 says that ours is better; medians of interleaved rounds.");
  if (values.quick) return;
  const record = {
    bench: name,
    summary: bench.summary,
    date: new Date().toISOString(),
    commit: describeCommit(join(folder, "..")),
    machine,
    rounds,
    cases,
  };
  mkdirSync(join(folder, "results"), { recursive: true });
  const file = join(folder, "results", `${name}.json`);
  writeFileSync(file, `${JSON.stringify(record, rounded, 2)}\n`);
  console.log(`Written to benchmarks/results/${name}.json`);
}

/** Six digits are more than any measurement has. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
