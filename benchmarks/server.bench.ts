import { type Case, defineBench } from "./src/index.ts";
import { fillLists, listUnderLoad } from "./src/load.ts";
import { QueztlServer } from "./src/queztl-server.ts";
import { quantile } from "./src/statistics.ts";
import { TaskWays } from "./src/task-ways.ts";

/** The steps of a task's way before its command starts, and what is learned after it, with the system's paper's targets. */
const STEPS = [
  ["submit", "from its submission to the start of its command"],
  ["analyse", "its words and files are analysed", 100],
  ["estimate", "what it needs is estimated", 50],
  ["place", "it is placed"],
  ["vm", "its VM, made of a template", 1000],
  ["agent", "the guest's agent takes its files"],
  ["collect", "its results are taken out"],
  ["learn", "the brain learns from it", 10],
] as const;

/** The databases: the embedded one and, where there is one, that of DATABASE_URL. */
const url = process.env["DATABASE_URL"];
const DATABASES: readonly (readonly [name: string, environment: Record<string, string>])[] = [
  ["embedded database", {}],
  ...(url === undefined ? [] : [["Postgres", { DATABASE_URL: url }] as const]),
];

const CLIENTS = 50;
const SECONDS = 60;
/** A person or a dashboard that looks twice a second. */
const PAUSE_MS = 500;

function taskCases(): Case[] {
  const ways = new TaskWays({});
  return STEPS.map(([step, words, target], place): Case => {
    let index = 0;
    return {
      name: `task: ${words}`,
      unit: "ms",
      better: "lower",
      tails: true,
      ...(target !== undefined && { target }),
      ours: {
        name: "queztl",
        measure: async () => (await ways.at(index++)).get(step) ?? Number.NaN,
        ...(place === STEPS.length - 1 && { teardown: () => ways.stop() }),
      },
      peers: [],
    };
  });
}

function listCases(): Case[] {
  return DATABASES.map(([database, environment]): Case => {
    let server: QueztlServer | undefined;
    let warm = false;
    return {
      name: `${CLIENTS} clients list twice a second each for a minute, ${database}: p99`,
      unit: "ms",
      better: "lower",
      rounds: 1,
      target: 100,
      ours: {
        name: "queztl",
        async setup() {
          // Nothing but lists.
          const alone = { QUEZTL_VMS_STANDBY: "0", QUEZTL_VMS_MOST_STANDBY: "0" };
          server = await QueztlServer.start({ ...alone, ...environment });
          await fillLists(server);
        },
        async measure() {
          if (server === undefined) throw new Error("no server");
          const seconds = warm ? SECONDS : 1;
          warm = true;
          const load = { clients: CLIENTS, seconds, pauseMs: PAUSE_MS };
          return quantile(await listUnderLoad(server, load), 0.99);
        },
        teardown: () => server?.stop(),
      },
      peers: [],
    };
  });
}

export default defineBench({
  summary:
    "the server: a task's way to its command, step by step, and lists while many look; p99 is judged",
  rounds: 50,
  cases: [...taskCases(), ...listCases()],
});
