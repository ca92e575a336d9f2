import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { command, defineBench } from "./src/index.ts";
import type { Case, Subject } from "./src/index.ts";
import { type InstalledQctl, installQctl } from "./src/installed-qctl.ts";

const PEERS = join(import.meta.dirname, ".peers");
const COMMANDER = "commander@15.1.0";

let installed: Promise<InstalledQctl> | undefined;
let users = 0;

/** Runs a program with what the installed qctl has: its server, its token, its home. */
function subject(
  rest: Pick<Subject, "name" | "needs">,
  wordsOf: (qctl: InstalledQctl) => readonly [string, ...string[]],
): Subject {
  return {
    ...rest,
    async setup() {
      users += 1;
      await (installed ??= installQctl());
    },
    async measure() {
      const qctl = await installed;
      if (qctl === undefined) throw new Error("qctl is gone");
      return command(wordsOf(qctl), { env: qctl.environment })();
    },
    async teardown() {
      users -= 1;
      if (users > 0 || installed === undefined) return;
      await (await installed).remove();
      installed = undefined;
    },
  };
}

const qctl = (...words: string[]) => subject({ name: "qctl" }, ({ bin }) => [bin, ...words]);

/** A command line of npm's, with its own package. */
const peer = (name: string, version: string, ...words: string[]): Subject => ({
  name,
  needs: { npm: [`${name}@${version}`] },
  measure: command([join(PEERS, "node_modules/.bin", name), ...words], {
    env: { CI: "1", HEROKU_SKIP_NEW_VERSION_CHECK: "1", NO_UPDATE_NOTIFIER: "1" },
  }),
});

const node: Subject = {
  name: "node itself, doing nothing",
  measure: command([process.execPath, "--eval", "0"]),
};

/** The least that a command line in JavaScript can be: a parser of words, one call, lines. */
const least = (...words: string[]): Subject =>
  subject({ name: "commander and fetch, nothing else", needs: { npm: [COMMANDER] } }, () => {
    const path = join(PEERS, "least.mjs");
    writeFileSync(path, LEAST);
    return [process.execPath, path, ...words];
  });
const LEAST = `import { Command } from "commander";
const program = new Command().version("1.0.0");
program.command("list").action(async () => {
  const headers = { authorization: "Bearer " + process.env.QUEZTL_TOKEN };
  const answer = await fetch(process.env.QUEZTL_SERVER + "/trpc/vm.list?input=%7B%7D", { headers });
  for (const vm of (await answer.json()).result.data.items) console.log(vm.name, vm.state);
});
await program.parseAsync();
`;

const start = (name: string, ours: Subject, peers: readonly Subject[]): Case => ({
  name,
  unit: "ms",
  better: "lower",
  tails: true,
  ours,
  peers,
});

export default defineBench({
  summary:
    "a command line from its start to its end, installed as its users have it, the caches filled",
  cases: [
    start("--version", qctl("--version"), [
      node,
      least("--version"),
      peer("heroku", "11.10.0", "--version"),
    ]),
    start("a list of 20 VMs from a server here", qctl("vm", "list"), [node, least("list")]),
    start("the help of a topic", qctl("vm", "--help"), [
      peer("heroku", "11.10.0", "apps", "--help"),
    ]),
  ],
});
