import { createHash, randomBytes } from "node:crypto";
import type { Authenticate, Principal, Scope, ServiceOf, Token } from "@queztl/api";
import { and, desc, eq, isNull, lt } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { pageOf } from "../database/page.ts";
import { tokens } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import { sortableId } from "../sortable-id.ts";

type Row = typeof tokens.$inferSelect;

// How long an answer about a token may be repeated without asking the database.
const REMEMBER_MS = 5000;
const MOST_REMEMBERED = 10_000;
const MINUTE_MS = 60_000;

/** The tokens of the API: only hashes are kept, so a copy of the database opens no door. */
export class Tokens {
  readonly #records: Records;
  readonly #events: EventLog;
  readonly #known = new Map<string, { readonly row: Row | undefined; readonly until: number }>();

  constructor(records: Records, events: EventLog) {
    this.#records = records;
    this.#events = events;
  }

  readonly authenticate: Authenticate = async (secret) => {
    const row = await this.#find(hashOf(secret));
    const now = Date.now();
    if (row === undefined || row.revokedAt !== null) return undefined;
    if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return undefined;
    if (now - (row.lastUsedAt?.getTime() ?? 0) > MINUTE_MS) {
      row.lastUsedAt = new Date(now);
      await this.#records
        .update(tokens)
        .set({ lastUsedAt: row.lastUsedAt })
        .where(eq(tokens.id, row.id));
    }
    return principalOf(row);
  };

  readonly service: ServiceOf<"token"> = {
    create: async ({ name, scopes, expiresAt }, { principal, requestId }) =>
      this.make(
        { name, scopes, ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }) },
        { actor: principal.tokenId, requestId },
      ),
    list: async ({ revoked, ...page }) => {
      const rows = await this.#records
        .select()
        .from(tokens)
        .where(
          and(
            page.cursor === undefined ? undefined : lt(tokens.id, page.cursor),
            revoked ? undefined : isNull(tokens.revokedAt),
          ),
        )
        .orderBy(desc(tokens.id))
        .limit(page.limit + 1);
      return pageOf(rows, page, { keyOf: ({ id }) => id, itemOf: tokenOf });
    },
    revoke: async ({ token }, { principal, requestId }) => {
      const [row] = await this.#records.select().from(tokens).where(eq(tokens.id, token));
      if (row === undefined) {
        throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "token", wanted: token });
      }
      if (row.revokedAt === null) await this.#revoke(row, { actor: principal.tokenId, requestId });
      return tokenOf(row);
    },
  };

  /** Makes the token that a new server is first reached with; undefined where there is one already. */
  async makeFirst(): Promise<string | undefined> {
    const [any] = await this.#records.select({ id: tokens.id }).from(tokens).limit(1);
    if (any !== undefined) return undefined;
    const { secret } = await this.make({ name: "first", scopes: ["admin"] }, { actor: "system" });
    return secret;
  }

  /** Makes an administrator's token; those of the same name are revoked. */
  async makeAnew(name: string): Promise<string> {
    const same = and(eq(tokens.name, name), isNull(tokens.revokedAt));
    const by = { actor: "system" };
    for (const row of await this.#records.select().from(tokens).where(same)) {
      await this.#revoke(row, by);
    }
    const { secret } = await this.make({ name, scopes: ["admin"] }, by);
    return secret;
  }

  async make(
    parts: { name: string; scopes: readonly Scope[]; expiresAt?: Date },
    by: { actor: string; requestId?: string },
  ): Promise<{ token: Token; secret: string }> {
    const secret = `qz_${randomBytes(32).toString("base64url")}`;
    const row: Row = {
      id: sortableId("token"),
      name: parts.name,
      scopes: [...new Set(parts.scopes)],
      hash: hashOf(secret),
      createdAt: new Date(),
      createdBy: by.actor,
      expiresAt: parts.expiresAt ?? null,
      lastUsedAt: null,
      revokedAt: null,
    };
    await this.#records.insert(tokens).values(row);
    await this.#events.record({
      type: "token.created",
      subject: row.id,
      message: `token ${row.name} was made`,
      details: { scopes: row.scopes.join(" ") },
      ...by,
    });
    return { token: tokenOf(row), secret };
  }

  async #revoke(row: Row, by: { actor: string; requestId?: string }): Promise<void> {
    row.revokedAt = new Date();
    await this.#records
      .update(tokens)
      .set({ revokedAt: row.revokedAt })
      .where(eq(tokens.id, row.id));
    this.#known.delete(row.hash);
    await this.#events.record({
      type: "token.revoked",
      subject: row.id,
      message: `token ${row.name} was revoked`,
      ...by,
    });
  }

  async #find(hash: string): Promise<Row | undefined> {
    const now = Date.now();
    const known = this.#known.get(hash);
    if (known !== undefined && known.until > now) return known.row;
    const [row] = await this.#records.select().from(tokens).where(eq(tokens.hash, hash));
    // Only real tokens: strangers must not fill the memory.
    if (row === undefined) return undefined;
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear();
    this.#known.set(hash, { row, until: now + REMEMBER_MS });
    return row;
  }
}

// The secrets are 256 random bits: nothing slower than one SHA-256 is needed to keep them.
const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");

const principalOf = ({ id, name, scopes }: Row): Principal => ({
  tokenId: id,
  name,
  scopes: scopes as Scope[],
});

const tokenOf = (row: Row): Token => ({
  id: row.id,
  name: row.name,
  scopes: row.scopes as Scope[],
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt?.toISOString() ?? null,
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  revokedAt: row.revokedAt?.toISOString() ?? null,
});
