/**
 * Runs a command with the address of a Postgres of its own in DATABASE_URL: `with-postgres.ts COMMAND [ARGUMENTS]`. Needs an installed
 * Postgres; ends with the command's status.
 */
import { spawn } from "node:child_process";
import { startPrivatePostgres } from "../src/testing/private-postgres.ts";

const [command = "true", ...words] = process.argv.slice(2);
const postgres = await startPrivatePostgres();
try {
  const env = { ...process.env, DATABASE_URL: postgres.url };
  const child = spawn(command, words, { env, stdio: "inherit" });
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (status) => resolve(status ?? 1));
  });
} finally {
  await postgres.stop();
}
