import { pathToFileURL } from "node:url";
import pino from "pino";
import { startServer } from "../server.ts";
import { createProcessVms } from "./process-vms.ts";

/**
 * A server as a process of its own whose VMs are processes of this computer: `node server-process.ts HOME PORT`. Tests kill
 * it. The first token goes to standard output, as a line.
 */
export async function runServerProcess(home: string, port: number): Promise<void> {
  const server = await startServer({
    settings: {
      home,
      port,
      "node.cpu": 12,
      "node.memoryMib": 65_536,
      "queue.pollMilliseconds": 200,
    },
    log: pino({ level: process.env["QUEZTL_TEST_LOG"] ?? "silent" }),
    vmHost: (folder) => createProcessVms(folder),
  });
  if (server.firstToken !== undefined) process.stdout.write(`${server.firstToken}\n`);
  process.on("SIGTERM", () => {
    void server.close().then(() => process.exit());
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await runServerProcess(process.argv[2] ?? "", Number(process.argv[3]));
}
