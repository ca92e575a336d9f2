/**
 * How long a start takes: `node --conditions=@queztl/source packages/qctl/bench/startup.ts [NAME=COMMAND]...`, each further
 * word a peer, such as `commander='node peers/hello.mjs --version'`. All take turns, so that a busy computer is busy for all.
 * Build first: what is measured is the built command.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { isMainThread, Worker } from "node:worker_threads";
import { ADMIN_TOKEN, createFakeServices, startTestServer } from "@queztl/api/testing";

const ROUNDS = Number(process.env["ROUNDS"] ?? 15);
const bin = join(import.meta.dirname, "../bin/qctl.js");

if (!isMainThread) {
  // The server answers from a thread of its own while this one waits for a command's end.
  console.log((await startTestServer(createFakeServices())).url);
} else {
  const server = new Worker(new URL(import.meta.url), { stdout: true });
  const url = await new Promise<string>((resolve) =>
    server.stdout.once("data", (text) => resolve(String(text).trim())),
  );
  const environment = { ...process.env, QUEZTL_SERVER: url, QUEZTL_TOKEN: ADMIN_TOKEN };
  const subjects: Record<string, string[]> = {
    "node -e 0": [process.execPath, "-e", "0"],
    "qctl --version": [process.execPath, bin, "--version"],
    "qctl vm list": [process.execPath, bin, "vm", "list"],
    "qctl vm --help": [process.execPath, bin, "vm", "--help"],
  };
  for (const peer of process.argv.slice(2)) {
    const at = peer.indexOf("=");
    subjects[peer.slice(0, at)] = peer.slice(at + 1).split(" ");
  }
  const times = new Map<string, number[]>();
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, [program = "", ...words]] of Object.entries(subjects)) {
      const started = performance.now();
      spawnSync(program, words, { env: environment, stdio: "ignore" });
      const wall = performance.now() - started;
      // The first round fills the caches.
      if (round > 0) times.set(name, [...(times.get(name) ?? []), wall]);
    }
  }
  for (const [name, all] of times) {
    const sorted = all.toSorted((a, b) => a - b);
    const [least = 0] = sorted;
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    console.log(`${name.padEnd(24)} median ${median.toFixed(0)} ms, least ${least.toFixed(0)} ms`);
  }
  process.exit();
}
