/**
 * What `npm start` runs: a server on the embedded database, and one task from its words to what was learned of it. On a
 * terminal the server stays up; elsewhere the program ends with the task.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createQueztlClient } from "@queztl/api";
import { isQueztlError } from "@queztl/errors";
import { startServer } from "@queztl/server";
import { magneticSurvey } from "./example-survey.ts";

const TASK = "Process mining MAG survey";
/** Where nobody watches, something that hangs must end. */
const LONGEST_MS = 1_800_000;

const say = (text = ""): void => console.log(text === "" ? "" : `queztl: ${text}`);
const interactive = process.stdout.isTTY && process.stdin.isTTY;
const started = performance.now();
const since = (from = started): string => `${((performance.now() - from) / 1000).toFixed(1)} s`;

const server = await startServer({
  // That of the start before is revoked.
  token: "npm start",
  settings: { "log.level": "warn", ...(interactive ? {} : { port: 0 }) },
  onStep: (step) => say(`  ${step}`),
}).catch((error: unknown) => {
  if (!isQueztlError(error)) throw error;
  say(`${error.message} (${error.code})`);
  process.exit(1);
});
say(`the server answers at ${server.url} after ${since()}; its home is ${server.home}`);
const client = createQueztlClient({ url: server.url, token: server.token ?? "" });

let status = 0;
const stop = async (): Promise<void> => {
  const { vms, tasks } = await server.close();
  if (vms + tasks > 0) say(`${vms} VMs and ${tasks} tasks go on; the next start takes them over`);
  process.exit(status);
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop());
if (!interactive) {
  setTimeout(() => {
    say(`given up after ${LONGEST_MS / 60_000} minutes`);
    status = 1;
    void stop();
  }, LONGEST_MS).unref();
}

try {
  await runExample();
} catch (error) {
  status = 1;
  say(isQueztlError(error) ? `${error.message} (${error.code})` : String(error));
  if (isQueztlError(error) && error.code.startsWith("QZ_IMAGES_")) {
    say(
      "the first time needs apt, or a Debian mirror named by QUEZTL_DEBIAN_MIRRORS; later runs need no network",
    );
  }
}
if (interactive && status === 0) {
  say();
  say(`stays up at ${server.url}; Ctrl-C stops it. For other programs on this computer:`);
  console.log(`  export QUEZTL_SERVER=${server.url} QUEZTL_TOKEN=${server.token}`);
} else await stop();

async function runExample(): Promise<void> {
  const file = await send("MAG-001.csv", magneticSurvey());
  const data = { survey_id: "MAG-001", points: 50_000, inclination: 62, declination: 4 };
  say();
  say(`the task: ${TASK} ${JSON.stringify(data)} with MAG-001.csv`);
  const task = await client.task.submit.mutate({
    description: TASK,
    data,
    files: [{ name: "MAG-001.csv", file }],
  });
  const output = showOutput(task.id);
  await showDecision(task.id);
  await output;
  await showResult(task.id);
}

async function send(name: string, text: string): Promise<string> {
  const bytes = Buffer.from(text);
  const { id: file } = await client.file.create.mutate({ name, bytes: bytes.length });
  await client.file.write.mutate({ file, offset: 0, data: bytes.toString("base64") });
  return file;
}

async function showDecision(task: string): Promise<void> {
  for (;;) {
    const { attempts, state } = await client.task.get.query({ task });
    if (attempts.some(({ resources }) => resources !== null)) break;
    if (state === "failed") return;
    await sleep(200);
  }
  const { resources, reasons } = await client.brain.explain.query({ task });
  const { memoryMib, cpu, image } = resources;
  say(`the brain gives it ${memoryMib} MiB and ${cpu} CPU in the image ${image}, because`);
  for (const reason of reasons) console.log(`  - ${reason}`);
}

async function showOutput(task: string): Promise<void> {
  const pieces = client.task.followLogs.subscribe({ task });
  for await (const { data } of pieces) {
    // What a guest writes may drive a terminal: control characters are left out.
    const text = data.text.replace(/[^\P{Cc}\n\t]/gu, "");
    for (const line of text.trimEnd().split("\n"))
      console.log(`  ${data.stream === "system" ? "·" : "|"} ${line}`);
  }
}

async function showResult(task: string): Promise<void> {
  const { state, problem, result, attempts, learned } = await client.task.get.query({ task });
  if (state !== "succeeded") throw new Error(problem?.message ?? `the task is ${state}`);
  const last = attempts.at(-1);
  const steps = last?.steps.map(
    ({ step, milliseconds }) => `${step} ${Math.round(milliseconds ?? 0)} ms`,
  );
  say(`succeeded after ${since()}: ${steps?.join(", ")}`);
  say(
    `it used ${Math.round(last?.peakMib ?? 0)} MiB and ${last?.cpuSeconds?.toFixed(1)} s of its processor; the result:`,
  );
  console.log(JSON.stringify(result, undefined, 2).split("\n").slice(0, 40).join("\n"));
  const { items } = await client.task.files.query({ task });
  for (const { name, bytes } of items) console.log(`  ${name} (${bytes} bytes)`);
  say("learned:");
  for (const words of learned) console.log(`  - ${words}`);
  // The VM is taken away behind the attempt's end.
  for (let tries = 0; tries < 50; tries += 1) {
    const vm = last?.vm ?? undefined;
    const { items: vms } = await client.vm.list.query({});
    if (!vms.some(({ id }) => id === vm)) break;
    await sleep(200);
  }
}
