#!/usr/bin/env node
import { isQueztlError } from "@queztl/errors";
import { parseFlags } from "./config/flags.ts";
import { HELP } from "./config/help.ts";
import { startServer, VERSION } from "./server.ts";

/** The command `queztl-server`: starts a server and stays until it is told to stop. */
async function main(words: readonly string[]): Promise<void> {
  const { help, version, configFile, token, settings } = parseFlags(words);
  if (help) return console.log(HELP);
  if (version) return console.log(VERSION);
  const server = await startServer({
    settings,
    ...(configFile === undefined ? {} : { configFile }),
    ...(token === undefined ? {} : { token }),
  });
  if (server.token !== undefined) {
    // On standard error: logs are collected, and a secret does not belong there.
    const which = token === undefined ? "the first token" : `the token ${token}`;
    console.error(`queztl-server: ${which}, shown this once: ${server.token}`);
  }
  const stop = (status: number, why: string) => {
    process.exitCode ??= status;
    console.error(`queztl-server: stopping (${why})`);
    server.close().then(
      ({ vms, tasks }) => {
        console.error(`queztl-server: stopped; ${vms} VMs and ${tasks} tasks go on without it`);
        process.exit();
      },
      (cause: unknown) => {
        console.error(`queztl-server: ${text(cause)}`);
        process.exit(1);
      },
    );
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    let asked = false;
    process.on(signal, () => {
      if (asked) process.exit(1);
      asked = true;
      stop(0, signal);
    });
  }
  const reason = await server.failed;
  stop(1, text(reason));
}

function text(cause: unknown): string {
  return isQueztlError(cause) ? `${cause.message} (${cause.code})` : String(cause);
}

main(process.argv.slice(2)).catch((cause: unknown) => {
  console.error(`queztl-server: ${text(cause)}`);
  if (!isQueztlError(cause)) console.error(cause);
  process.exitCode = isQueztlError(cause) && cause.status === "invalid" ? 2 : 1;
});
