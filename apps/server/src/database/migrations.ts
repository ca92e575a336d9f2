import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checked-in migrations; the same folder beside `src` and beside `dist`. */
export const MIGRATIONS = fileURLToPath(new URL("../../migrations", import.meta.url));

/** Names the schema: changes with every migration. */
export function migrationsKey(): string {
  const journal = readFileSync(join(MIGRATIONS, "meta/_journal.json"));
  return createHash("sha256").update(journal).digest("hex").slice(0, 16);
}
