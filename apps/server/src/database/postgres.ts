import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { serverErrors } from "../errors.ts";
import type { Database } from "./database.ts";
import { MIGRATIONS } from "./migrations.ts";
import * as schema from "./schema.ts";

/** How a Postgres is reached. */
export interface PostgresOptions {
  readonly url: string;
  readonly connections: number;
  /** Milliseconds between looks at whether the database is still ours. */
  readonly watchMilliseconds?: number;
}

// Any two numbers that nobody else is likely to lock: "qztl" and 1.
const LOCK = [0x717a746c, 1] as const;

/**
 * Opens a Postgres, brings it up to date and takes it for this server: an advisory lock on a connection of its own
 * ends with the process, so that a new server need not wait. Throws `QZ_SERVER_DATABASE_IN_USE` and
 * `QZ_SERVER_DATABASE_UNAVAILABLE`.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const { url, connections, watchMilliseconds = 1000 } = options;
  const common = { onnotice: () => undefined, connect_timeout: 10 };
  const client = postgres(url, { ...common, max: connections });
  const guard = postgres(url, { ...common, max: 1, idle_timeout: 0, max_lifetime: null });
  const lost = new AbortController();
  const close = async () => {
    clearInterval(watch);
    await Promise.all([client.end({ timeout: 5 }), guard.end({ timeout: 1 })]);
  };
  const stillOurs = async () => {
    // Where it does not answer nobody else can have it either.
    const ours = await locked(guard).catch(() => true);
    if (!ours) lost.abort(serverErrors("QZ_SERVER_DATABASE_IN_USE"));
  };
  let watch: NodeJS.Timeout | undefined;
  try {
    if (!(await locked(guard))) throw serverErrors("QZ_SERVER_DATABASE_IN_USE");
    const records = drizzle({ client, schema, casing: "snake_case" });
    await migrate(records, { migrationsFolder: MIGRATIONS });
    // After a restart of Postgres the connection, and with it the lock, is gone: take it again or give up.
    watch = setInterval(() => {
      void stillOurs();
    }, watchMilliseconds);
    watch.unref();
    return {
      kind: "postgres",
      records,
      queue: { connectionString: url, max: 4 },
      lost: lost.signal,
      async check() {
        try {
          await records.execute(sql`select 1`);
        } catch (cause) {
          throw unavailable(cause);
        }
      },
      close,
    };
  } catch (cause) {
    await close();
    if (cause instanceof Error && "code" in cause && String(cause.code).startsWith("QZ_"))
      throw cause;
    throw unavailable(cause);
  }
}

/** Whether the lock is ours: taking it a second time on the same connection succeeds and is given back. */
async function locked(guard: postgres.Sql): Promise<boolean> {
  const [row] = await guard<{ held: boolean }[]>`
    select exists (
      select 1 from pg_locks
      where locktype = 'advisory' and classid = ${LOCK[0]} and objid = ${LOCK[1]}
        and pid = pg_backend_pid() and granted
        and database = (select oid from pg_database where datname = current_database())
    ) as held`;
  if (row?.held === true) return true;
  const [taken] = await guard<{ taken: boolean }[]>`
    select pg_try_advisory_lock(${LOCK[0]}, ${LOCK[1]}) as taken`;
  return taken?.taken === true;
}

function unavailable(cause: unknown): Error {
  // Drivers put addresses, never passwords, into these messages.
  const problem = cause instanceof Error ? cause.message : String(cause);
  return serverErrors("QZ_SERVER_DATABASE_UNAVAILABLE", { problem }, { cause });
}
