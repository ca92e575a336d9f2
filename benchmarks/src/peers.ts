import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Needs } from "./bench.ts";

const run = promisify(execFile);
const peersFolder = join(import.meta.dirname, "../.peers");

/** Installs what a subject needs and the machine lacks; throws with the reason where it cannot. */
export async function provide({ debian = [], npm = [] }: Needs): Promise<void> {
  const missing = debian.filter((name) => !isDebianInstalled(name));
  if (missing.length > 0) {
    const names = missing.join(" ");
    if (process.getuid?.() !== 0) throw new Error(`needs root to install ${names}`);
    console.error(`Installing ${names}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "--quiet=2"], { env });
    const options = ["install", "--quiet=2", "--yes", "--no-install-recommends"];
    await run("apt-get", [...options, ...missing], { env });
  }
  const packages = npm.filter((each) => !isNpmInstalled(each));
  if (packages.length > 0) {
    console.error(`Installing ${packages.join(" ")} in benchmarks/.peers`);
    mkdirSync(peersFolder, { recursive: true });
    const manifest = join(peersFolder, "package.json");
    if (!existsSync(manifest)) writeFileSync(manifest, `{ "private": true }\n`);
    const options = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
    await run("npm", [...options, ...packages], { cwd: peersFolder });
  }
}

/** Imports a peer that `needs.npm` installed; what it exports is checked by whoever uses it. */
export async function importPeer(name: string): Promise<Readonly<Record<string, unknown>>> {
  return (await import(pathToFileURL(peerEntry(name)).href)) as Record<string, unknown>;
}

/** The path of the file that importing a peer loads; what else it comes with lies around it. */
export function peerEntry(name: string): string {
  return createRequire(join(peersFolder, "package.json")).resolve(name);
}

function isDebianInstalled(name: string): boolean {
  try {
    const query = ["--show", "--showformat=${db:Status-Abbrev}", name];
    return execFileSync("dpkg-query", query, { encoding: "utf8", stdio: "pipe" }).startsWith("ii");
  } catch {
    return false;
  }
}

/** `specifier` is a name with an exact version, `v86@0.5.462`. */
function isNpmInstalled(specifier: string): boolean {
  const at = specifier.lastIndexOf("@");
  const manifest = join(peersFolder, "node_modules", specifier.slice(0, at), "package.json");
  if (!existsSync(manifest)) return false;
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version?: string };
  // Some name their build behind a plus sign, which the registry's versions have not.
  return version?.replace(/\+.*/, "") === specifier.slice(at + 1);
}
