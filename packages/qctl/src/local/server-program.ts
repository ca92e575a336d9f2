import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { qctlErrors } from "../errors.ts";

/** A program and the words that it is started with. */
export interface ServerProgram {
  readonly program: string;
  readonly words: readonly string[];
}

const NAME = "queztl-server";

/**
 * The server's program: what QCTL_SERVER_COMMAND says, the package @queztl/server beside this one, or
 * `queztl-server` of the PATH. Throws `QZ_QCTL_SERVER_MISSING`.
 */
export function findServerProgram(environment: NodeJS.ProcessEnv): ServerProgram {
  const [program, ...words] = (environment["QCTL_SERVER_COMMAND"] ?? "").split(" ").filter(Boolean);
  if (program !== undefined) return { program, words };
  const found = packagedServer() ?? serverOnPath(environment);
  if (found === undefined) throw qctlErrors("QZ_QCTL_SERVER_MISSING");
  return found;
}

function packagedServer(): ServerProgram | undefined {
  let manifest: string;
  try {
    manifest = fileURLToPath(import.meta.resolve("@queztl/server/package.json"));
  } catch {
    return undefined;
  }
  // In the checkout both run from their sources.
  const fromSources = import.meta.url.endsWith(".ts");
  const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: Record<string, string> };
  const built = join(dirname(manifest), bin[NAME] ?? "");
  const source = built.replace("/dist/", "/src/").replace(/\.js$/, ".ts");
  const conditions = fromSources ? ["--conditions=@queztl/source"] : [];
  const path = fromSources ? source : built;
  return existsSync(path) ? { program: process.execPath, words: [...conditions, path] } : undefined;
}

function serverOnPath({ PATH = "" }: NodeJS.ProcessEnv): ServerProgram | undefined {
  for (const folder of PATH.split(delimiter).filter(Boolean)) {
    const program = join(folder, NAME);
    try {
      accessSync(program, constants.X_OK);
      return { program, words: [] };
    } catch {
      // The next folder, then.
    }
  }
  return undefined;
}
