import { pathToFileURL } from "node:url";
import pino from "pino";
import { startServer } from "../server.ts";
import { createProcessVms } from "./process-vms.ts";

/**
 * A server as a process of its own: `node server-process.ts HOME PORT [real]`. Its VMs are processes of this computer unless they are
 * to be real. Once it works it says so by a line with the first token, an empty one where that was made before. Tests kill it.
 */
export async function runServerProcess(home: string, port: number, real: boolean): Promise<void> {
  const server = await startServer({
    settings: {
      home,
      port,
      "queue.pollMilliseconds": 200,
      ...(real ? {} : { "node.cpu": 12, "node.memoryMib": 65_536 }),
    },
    log: pino({ level: process.env["QUEZTL_TEST_LOG"] ?? "silent" }),
    ...(real ? {} : { vmHost: (folder) => createProcessVms(folder) }),
  });
  process.stdout.write(`${server.token ?? ""}\n`);
  process.on("SIGTERM", () => {
    void server.close().then(() => process.exit());
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [home = "", port, vms] = process.argv.slice(2);
  await runServerProcess(home, Number(port), vms === "real");
}
