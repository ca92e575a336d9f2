/**
 * Some API clients in a process of their own: `list-clients.ts URL TOKEN CLIENTS SECONDS PAUSE_MS`. Each lists tasks, VMs and tokens in
 * turn, and pauses after each call. Prints what each call took after the first WARM_UP_MS, and how many failed at all, as JSON.
 */
import { createQueztlClient } from "@queztl/api";

const [url = "", token = "", ...numbers] = process.argv.slice(2);
const [clients = 1, seconds = 1, pause = 0] = numbers.map(Number);

const WARM_UP_MS = 5000;

const latencies: number[] = [];
let errors = 0;
await Promise.all(
  Array.from({ length: clients }, async (_, index) => {
    const { task, vm, token: tokens } = createQueztlClient({ url, token });
    const calls = [
      () => task.list.query({ limit: 50 }),
      () => vm.list.query({}),
      () => tokens.list.query({}),
    ];
    // Not all at the same moment.
    await sleep(Math.random() * pause);
    const from = performance.now() + WARM_UP_MS;
    const until = from + seconds * 1000;
    for (let turn = index; performance.now() < until; turn += 1) {
      const started = performance.now();
      await calls[turn % calls.length]?.().catch(() => (errors += 1));
      if (started >= from) latencies.push(performance.now() - started);
      await sleep(pause);
    }
  }),
);
process.stdout.write(JSON.stringify({ latencies, errors }));

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
