import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import type { PgBoss } from "pg-boss";
import type * as schema from "./schema.ts";

/** The records: the same on Postgres and on the embedded database. Transactions are of this type too. */
export type Records = PgDatabase<PgQueryResultHKT, typeof schema>;

/** An open database. */
export interface Database {
  readonly kind: "postgres" | "embedded";
  readonly records: Records;
  /** The queue's own options: how it reaches the same database. */
  readonly queue: ConstructorParameters<typeof PgBoss>[0] & object;
  /** Aborted when another server may have taken the database over: this one must stop then. */
  readonly lost: AbortSignal;
  /** Asks for an answer; rejects with `QZ_SERVER_DATABASE_UNAVAILABLE`. */
  check(): Promise<void>;
  close(): Promise<void>;
}
