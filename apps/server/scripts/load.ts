/**
 * 50 clients that list tasks, VMs and tokens for a minute: `load.ts [CLIENTS] [SECONDS] [--postgres]`. Prints the latencies; ends with 1
 * on an error or where one call in a hundred takes 100 ms or more.
 */
import { createQueztlClient } from "@queztl/api";
import { postgresPrograms, startPrivatePostgres } from "../src/testing/private-postgres.ts";
import { startTestServer } from "../src/testing/start-test-server.ts";

const words = process.argv.slice(2);
const [clients = 50, seconds = 60] = words.filter((word) => !word.startsWith("-")).map(Number);
const wanted = words.includes("--postgres") && postgresPrograms() !== undefined;
const postgres = wanted ? await startPrivatePostgres() : undefined;
const running = await startTestServer({
  "limits.requestsPerMinute": 10_000_000,
  ...(postgres === undefined ? {} : { "database.url": postgres.url }),
});
for (let index = 0; index < 100; index += 1) {
  const { id: task } = await running.client.task.submit.mutate({
    description: `Task ${index}`,
    command: ["true"],
    labels: { index: String(index) },
  });
  if (index % 2 === 0) await running.client.task.cancel.mutate({ task }).catch(() => undefined);
}
const latencies: number[] = [];
let errors = 0;
const until = performance.now() + seconds * 1000;
await Promise.all(
  Array.from({ length: clients }, async (_, index) => {
    const client = createQueztlClient({ url: running.server.url, token: running.token });
    const calls = [
      () => client.task.list.query({ limit: 50 }),
      () => client.vm.list.query({}),
      () => client.token.list.query({}),
    ];
    for (let turn = index; performance.now() < until; turn += 1) {
      const started = performance.now();
      await (calls[turn % 3] as () => Promise<unknown>)().catch(() => (errors += 1));
      latencies.push(performance.now() - started);
      // A person or a dashboard that looks twice a second.
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }),
);
latencies.sort((a, b) => a - b);
const at = (share: number) => latencies[Math.floor(latencies.length * share)]?.toFixed(1);
const database = running.server.database;
console.log(
  JSON.stringify({
    database,
    clients,
    calls: latencies.length,
    errors,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
  }),
);
await running.close();
await postgres?.stop();
process.exit(errors === 0 && Number(at(0.99)) < 100 ? 0 : 1);
