/**
 * `node ../../scripts/bundle.ts [--entry=MODULE]… [--define=FILE]`, in a package's folder: writes the package's own modules to
 * dist/, one file for each entry of `exports` and `bin` and each MODULE of src/, and in dist/chunks/ what several of them
 * share. Other packages stay imports. FILE's default export has texts for names that the sources declare. Types are tsc's.
 */
import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";
import type { Manifest } from "./workspace.ts";

const { entry, define } = parseArgs({
  options: { entry: { type: "string", multiple: true, default: [] }, define: { type: "string" } },
}).values;
const folder = process.cwd();
const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Manifest;
const built = Object.values(manifest.exports ?? {}).flatMap((conditions) =>
  Object(conditions).default === undefined ? [] : [String(Object(conditions).default)],
);
const programs = Object.values(Object(manifest.bin)).map(String);
const modules = [...built, ...programs].map((path) => path.replace(/^\.\/dist\/|\.js$/g, ""));
const definitions = define && (await import(pathToFileURL(resolve(define)).href)).default;

rmSync(join(folder, "dist"), { recursive: true, force: true });
const bundle = await rolldown({
  cwd: folder,
  input: Object.fromEntries([...modules, ...entry].map((name) => [name, `./src/${name}.ts`])),
  // All but the helpers for syntax that not every Node.js has: `using`.
  external: /^(?!@oxc-project\/runtime)[a-z@]/,
  platform: "neutral",
  transform: { target: "es2023", define: definitions ?? {} },
  onLog(level, log) {
    if (level !== "debug" && level !== "info") throw new Error(log.message);
  },
});
await bundle.write({
  dir: "dist",
  entryFileNames: "[name].js",
  chunkFileNames: "chunks/[name].js",
  sourcemap: true,
  // The sources are in the package, too.
  sourcemapExcludeSources: true,
});
await bundle.close();
