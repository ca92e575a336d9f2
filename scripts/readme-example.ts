import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { WorkspacePackage } from "./workspace.ts";

/** The first ```ts block of a README: the example a reader tries first. */
export interface ReadmeExample {
  readonly code: string;
  /** What the comments `// → text` promise that it prints, line by line. */
  readonly promised: readonly string[];
}

/** The example of a package's README; undefined where it has none. */
export function readmeExample({ directory }: WorkspacePackage): ReadmeExample | undefined {
  const path = join(directory, "README.md");
  if (!existsSync(path)) return undefined;
  const readme = readFileSync(path, "utf8");
  const code = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1];
  if (code === undefined) return undefined;
  return { code, promised: [...code.matchAll(/\/\/ → (.*)$/gm)].map((match) => String(match[1])) };
}

const run = promisify(execFile);

/** Runs an example as a user of the package would, against its sources; resolves to what it printed. */
export async function runExample(
  { directory }: WorkspacePackage,
  { code }: ReadmeExample,
): Promise<string[]> {
  // `--eval` resolves imports from the working directory, where the package finds itself by name.
  const options = [
    "--conditions=@queztl/source",
    "--input-type=module-typescript",
    "--no-warnings",
  ];
  const { stdout } = await run(process.execPath, [...options, "--eval", code], {
    cwd: directory,
    timeout: 300_000,
  });
  return stdout.trimEnd().split("\n");
}
