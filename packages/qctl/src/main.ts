import { readFile } from "node:fs/promises";
import { arch, platform } from "node:os";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const argv = process.argv.slice(2);

/** What package.json holds; oclif reads its own part of it. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly oclif: Readonly<Record<string, unknown>>;
}

const readManifest = async (): Promise<Manifest> =>
  JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as Manifest;

if (argv.length === 1 && argv[0] === "--version") {
  // The words are oclif's own; asked for alone they need no oclif.
  const { name, version } = await readManifest();
  console.log(`${name}/${version} ${platform()}-${arch()} node-${process.version}`);
} else {
  const { runCli } = await import("./cli.ts");
  // Run from its sources, in the checkout, commands are found there too.
  const sources = import.meta.url.endsWith(".ts") ? await readManifest() : undefined;
  process.exitCode = await runCli(argv, { root, sources });
}
