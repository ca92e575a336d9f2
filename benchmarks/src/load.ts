import { spawn } from "node:child_process";
import { join } from "node:path";
import type { QueztlServer } from "./queztl-server.ts";

/** Clients that look at a server. */
export interface Load {
  readonly clients: number;
  readonly seconds: number;
  /** Between a client's calls; 0 for as fast as it can. */
  readonly pauseMs: number;
}

const PROGRAM = join(import.meta.dirname, "list-clients.ts");
const PROCESSES = 2;

/** Has that many clients, in processes of their own, list tasks, VMs and tokens; what each call took. Throws where one failed. */
export async function listUnderLoad(server: QueztlServer, load: Load): Promise<number[]> {
  const { clients, seconds, pauseMs } = load;
  const words = [clients / PROCESSES, seconds, pauseMs].map(String);
  const runs = await Promise.all(
    Array.from({ length: PROCESSES }, () => run([PROGRAM, server.url, server.token, ...words])),
  );
  const errors = runs.reduce((sum, each) => sum + each.errors, 0);
  if (errors > 0) throw new Error(`${errors} calls failed`);
  return runs.flatMap(({ latencies }) => latencies);
}

/** Fills its lists: tasks that wait, because nothing is started on the node, and VMs that are off. */
export async function fillLists({ client }: QueztlServer): Promise<void> {
  await client.node.cordon.mutate({ node: "local", cordoned: true });
  for (let index = 0; index < 500; index += 1) {
    const labels = { index: String(index) };
    await client.task.submit.mutate({ description: `Task ${index}`, command: ["true"], labels });
  }
  for (let index = 0; index < 50; index += 1) {
    const name = `vm-${index}`;
    await client.vm.create.mutate({ name, cpu: 1, memoryMib: 256, start: false });
  }
}

function run(words: readonly string[]): Promise<{ latencies: number[]; errors: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=@queztl/source", ...words], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (data: Buffer) => (text += data.toString("utf8")));
    child.once("error", reject);
    child.once("close", (status) => {
      if (status === 0) resolve(JSON.parse(text) as { latencies: number[]; errors: number });
      else reject(new Error(`the clients ended with ${status}`));
    });
  });
}
