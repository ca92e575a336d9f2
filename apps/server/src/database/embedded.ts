import { readFileSync } from "node:fs";
import { cp, mkdir, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { migrate } from "drizzle-orm/pglite/migrator";
import { sql } from "drizzle-orm";
import { fromPglite, PgBoss } from "pg-boss";
import { serverErrors } from "../errors.ts";
import type { Database } from "./database.ts";
import { lockDirectory } from "./directory-lock.ts";
import { MIGRATIONS, migrationsKey } from "./migrations.ts";
import * as schema from "./schema.ts";

/** Where an embedded database lies. */
export interface EmbeddedOptions {
  /** Its data directory. */
  readonly directory: string;
  /** Where initialised data directories are kept, to begin new databases from. */
  readonly cache: string;
  readonly onStep?: (step: string) => void;
}

/**
 * Opens the embedded database and brings it up to date. Making one takes seconds of processor time, copying one that
 * was made before does not. Throws `QZ_SERVER_HOME_IN_USE`.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<Database> {
  const { directory, onStep = () => undefined } = options;
  const lock = await lockDirectory(`${directory}.lock`);
  try {
    if (!(await exists(join(directory, "PG_VERSION")))) {
      await rm(directory, { recursive: true, force: true });
      const template = await templateDirectory(options.cache, onStep);
      onStep("copying the initialised database");
      await cp(template, `${directory}.new`, { recursive: true, force: true });
      await rename(`${directory}.new`, directory);
    }
    onStep("opening the embedded database");
    const client = await opened(directory);
    const records = drizzle({ client, schema, casing: "snake_case" });
    await migrate(records, { migrationsFolder: MIGRATIONS });
    return {
      kind: "embedded",
      records,
      queue: { db: fromPglite(client), backend: "pglite" },
      lost: new AbortController().signal,
      async check() {
        await records.execute(sql`select 1`);
      },
      async close() {
        await client.close();
        await lock.release();
      },
    };
  } catch (cause) {
    await lock.release();
    throw cause;
  }
}

/** A data directory with the schema and nothing in it, made if there is none in the cache. */
async function templateDirectory(cache: string, onStep: (step: string) => void): Promise<string> {
  const made = [versionOf("@electric-sql/pglite"), versionOf("pg-boss"), migrationsKey()];
  const template = join(cache, `database-${made.join("-")}`);
  if (await exists(template)) return template;
  onStep("initialising an embedded database (once, some seconds)");
  await mkdir(cache, { recursive: true });
  const fresh = join(cache, `.${randomUUID()}.partial`);
  try {
    const client = await opened(fresh);
    await migrate(drizzle({ client, schema, casing: "snake_case" }), {
      migrationsFolder: MIGRATIONS,
    });
    const boss = new PgBoss({ db: fromPglite(client), backend: "pglite", supervise: false });
    await boss.start();
    await boss.stop({ graceful: false });
    await client.close();
    await rename(fresh, template);
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    // Another process was faster: its template is as good.
    if (!(await exists(template))) throw cause;
  }
  return template;
}

async function opened(directory: string): Promise<PGlite> {
  const client = new PGlite({ dataDir: directory });
  try {
    await client.waitReady;
  } catch (cause) {
    const problem = `${directory} cannot be opened`;
    throw serverErrors("QZ_SERVER_DATABASE_UNAVAILABLE", { problem }, { cause });
  }
  return client;
}

/** The version of an installed package; not all of them let their package.json be imported. */
function versionOf(name: string): string {
  const entry = createRequire(import.meta.url).resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(join("node_modules", name)));
  const manifest = readFileSync(join(folder, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
