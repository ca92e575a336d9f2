/**
 * What `npm start` runs until the server exists: every package that has content so far, each shown
 * by the example of its own README, executed now.
 */
import { readmeExample, runExample } from "./readme-example.ts";
import { hasContent, publicPackages } from "./workspace.ts";

console.log("Queztl is being built from the ground up: the server does not exist yet.");
console.log(
  "These packages work today; each line below is printed by its README's example, now.\n",
);

for (const each of publicPackages().filter(hasContent)) {
  const example = readmeExample(each);
  if (example === undefined) continue;
  console.log(each.manifest.name);
  for (const line of await runExample(each, example)) console.log(`  ${line}`);
}
console.log("\nNext: `npm test` checks everything, README.md says what works and what does not.");
