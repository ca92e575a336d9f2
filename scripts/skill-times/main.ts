/** `pnpm skill-times`: writes what `pnpm bench skills` has measured into the READMEs of the skills. */
import { readFileSync, writeFileSync } from "node:fs";
import { measured, readmeOf, skillsIn, withTimes } from "./tables.ts";

const record = measured();
for (const skill of skillsIn(record)) {
  const file = readmeOf(skill);
  const before = readFileSync(file, "utf8");
  const after = await withTimes(before, skill, record);
  if (after === before) continue;
  writeFileSync(file, after);
  console.log(`${skill}: its README has the new times`);
}
