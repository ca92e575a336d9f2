/**
 * 1,000 short tasks while the server is killed ten times, and Postgres twice: `chaos.ts [--embedded] [--real] [TASKS] [KILLS]`.
 * Tasks run in processes of this computer in place of VMs, with `--real` in VMs. Ends with 1 when a task is lost or its
 * program comes to its end twice.
 */
import { chaos } from "../src/testing/chaos.ts";
import { startPrivatePostgres } from "../src/testing/private-postgres.ts";

const words = process.argv.slice(2);
const [tasks = 1000, kills = 10] = words.filter((word) => !word.startsWith("-")).map(Number);
const server = words.includes("--embedded") ? undefined : await startPrivatePostgres();
try {
  const result = await chaos({
    tasks,
    kills,
    vms: words.includes("--real") ? "real" : "processes",
    ...(server === undefined ? {} : { postgres: { server, url: server.url, restarts: 2 } }),
    say: (line) => console.log(line),
  });
  console.log(JSON.stringify(result));
  const right = result.states["succeeded"] === tasks && result.lost === 0 && result.doubled === 0;
  console.log(right ? "none lost, none doubled" : "WRONG");
  process.exitCode = right ? 0 : 1;
} finally {
  await server?.stop();
}
