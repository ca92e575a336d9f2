/**
 * `pnpm lint:changesets`: fails where a package would be released without anyone having said so.
 * Two questions, because each misses what the other sees (docs/decisions/0004):
 * has every package something to announce since its last release, and does this branch announce the
 * packages that it changes against its base?
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "../workspace.ts";
import { comparisonBase, packagesWithoutChangeset } from "./missing.ts";

const missing = packagesWithoutChangeset(root);
for (const name of missing) {
  console.error(`${name}: changed since its last release, but no changeset names it`);
}

const base = comparisonBase(root);
const changeset = join(root, "node_modules/@changesets/cli/bin.js");
const announced =
  base === undefined ||
  spawnSync(process.execPath, [changeset, "status", "--since", base], {
    cwd: root,
    stdio: "inherit",
  }).status === 0;
if (missing.length > 0 || !announced) {
  console.error("Run `pnpm changeset`, commit the file that it writes, and try again.");
  process.exitCode = 1;
} else {
  console.log(`Every change is announced${base ? ` (compared with ${base.slice(0, 12)})` : ""}.`);
}
