import { isQueztlError } from "@queztl/errors";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import { Client, Pool } from "pg";
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

const CONNECT_MS = 10_000;
// Any two numbers that nobody else is likely to lock: "qztl" and 1.
const LOCK = [0x717a746c, 1];

/**
 * Opens a Postgres, brings it up to date and takes it for this server: an advisory lock on a connection of its own
 * ends with the process, so that a new server need not wait. Throws `QZ_SERVER_DATABASE_IN_USE` and
 * `QZ_SERVER_DATABASE_UNAVAILABLE`.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const { url: connectionString, connections, watchMilliseconds = 1000 } = options;
  const pool = new Pool({
    connectionString,
    max: connections,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  // A connection that breaks while nobody uses it is replaced by the next query.
  pool.on("error", () => undefined);
  // One that breaks in the middle of a transaction fails its query, and besides tells whoever listens to it: somebody must.
  pool.on("connect", (client) => client.on("error", () => undefined));
  const guard = new Guard(connectionString);
  const lost = new AbortController();
  let watch: NodeJS.Timeout | undefined;
  const close = async () => {
    clearInterval(watch);
    await Promise.all([pool.end(), guard.close()]);
  };
  try {
    if (!(await guard.hold())) throw serverErrors("QZ_SERVER_DATABASE_IN_USE");
    const records = drizzle({ client: pool, schema, casing: "snake_case" });
    await migrate(records, { migrationsFolder: MIGRATIONS });
    // After a restart of Postgres the connection, and with it the lock, is gone: take it again or give up.
    const look = async () => {
      // Where it does not answer nobody else can have it either.
      const ours = await guard.hold().catch(() => true);
      if (!ours) lost.abort(serverErrors("QZ_SERVER_DATABASE_IN_USE"));
    };
    watch = setInterval(() => void look(), watchMilliseconds);
    watch.unref();
    return {
      kind: "postgres",
      records,
      queue: { connectionString, max: 4 },
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
    throw isQueztlError(cause) ? cause : unavailable(cause);
  }
}

/** Holds the lock: it is ours as long as the connection that took it lives. */
class Guard {
  readonly #connectionString: string;
  #client: Client | undefined;
  #holding: Promise<boolean> | undefined;
  #closed = false;

  constructor(connectionString: string) {
    this.#connectionString = connectionString;
  }

  /** Whether the lock is ours, taken now where it is free; rejects where Postgres does not answer. */
  hold(): Promise<boolean> {
    this.#holding ??= this.#hold().finally(() => (this.#holding = undefined));
    return this.#holding;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#holding?.catch(() => undefined);
    await this.#client?.end().catch(() => undefined);
  }

  async #hold(): Promise<boolean> {
    if (this.#client !== undefined) {
      const there = await this.#client.query("select 1").then(
        () => true,
        () => false,
      );
      if (there) return true;
      this.#client = undefined;
    }
    if (this.#closed) return true;
    const client = new Client({
      connectionString: this.#connectionString,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
    });
    client.on("error", () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ taken: boolean }>(
        "select pg_try_advisory_lock($1, $2) as taken",
        LOCK,
      );
      if (rows[0]?.taken === true) {
        this.#client = client;
        return true;
      }
    } catch (cause) {
      await client.end().catch(() => undefined);
      throw cause;
    }
    await client.end();
    return false;
  }
}

function unavailable(cause: unknown): Error {
  // Drivers put addresses, never passwords, into these messages.
  const problem = cause instanceof Error ? cause.message : String(cause);
  return serverErrors("QZ_SERVER_DATABASE_UNAVAILABLE", { problem }, { cause });
}
