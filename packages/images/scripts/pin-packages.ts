/**
 * Works out the packages of the Debian images from the newest index of Debian's main archive and writes
 * them to src/debian/pinned-packages.ts. Only the main archive: it (and later the archive of old releases) keeps the
 * versions of the last point release, where the security archive drops superseded ones.
 *
 *     node --conditions=@queztl/source scripts/pin-packages.ts
 */
import { writeFile } from "node:fs/promises";
import { DEBIAN_MIRRORS, mirrorSource } from "../src/node/mirror.ts";
import { DependencyIndex } from "../src/debian/dependency-index.ts";
import { debianRecipes } from "../src/debian/recipes.ts";
import { resolvePackages } from "../src/debian/resolve-packages.ts";

const [mirror = DEBIAN_MIRRORS[0] ?? ""] = process.argv.slice(2);
const text = await mirrorSource(mirror).index?.();
const index = new DependencyIndex(text ?? "", mirror);

const tables = Object.entries(debianRecipes).map(([name, { packages, without }]) => {
  const resolved = resolvePackages(index, [...index.essential, ...packages], without);
  const bytes = resolved.reduce((sum, { size }) => sum + size, 0);
  console.log(`${name}: ${resolved.length} packages, ${(bytes / 1e6).toFixed(1)} MB`);
  return { name, resolved };
});
const all = new Map(tables.flatMap(({ resolved }) => resolved.map((each) => [each.name, each])));
const lines = [...all.values()]
  .sort((a, b) => (a.name < b.name ? -1 : 1))
  .map(({ name, version, size, sha256, path }) => [name, version, size, sha256, path].join(" "));
const lists = tables.map(
  ({ name, resolved }) => `  ${name}: "${resolved.map((each) => each.name).join(" ")}",`,
);
await writeFile(
  new URL("../src/debian/pinned-packages.ts", import.meta.url),
  `// Written by scripts/pin-packages.ts: run it instead of editing this.

/** One package a line: name, version, bytes, SHA-256, path below the mirror's root. */
export const PINNED_PACKAGES = \`
${lines.join("\n")}
\`;

/** The packages of each image, by name. */
// prettier-ignore
export const PINNED_IMAGES = {
${lists.join("\n")}
} as const;
`,
);
