/** `pnpm lint:direction`: prints each import that breaks the house's rules, and fails if there is one. */
import { root, workspacePackages } from "../workspace.ts";
import { checkDirection } from "./check.ts";

const findings = checkDirection(root);
for (const { rule, where, what } of findings) console.error(`${where}: ${rule}: ${what}`);
if (findings.length > 0) {
  console.error(
    `\n${findings.length} import(s) break the house's rules (ARCHITECTURE.md, "Floors").`,
  );
  process.exitCode = 1;
} else {
  console.log(
    `Imports of ${workspacePackages().length} packages point down the house, no circles.`,
  );
}
