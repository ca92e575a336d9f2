/** Writes oclif.manifest.json from the built commands, so that a start reads one file instead of loading all of them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Plugin, settings } from "@oclif/core";

const root = join(import.meta.dirname, "..");
settings.enableAutoTranspile = false;
const plugin = new Plugin({
  root,
  ignoreManifest: true,
  errorOnManifestCreate: true,
  respectNoCacheDefault: true,
});
await plugin.load();
writeFileSync(join(root, "oclif.manifest.json"), `${JSON.stringify(plugin.manifest)}\n`);
console.log(`oclif.manifest.json: ${plugin.commandIDs.length} commands`);
