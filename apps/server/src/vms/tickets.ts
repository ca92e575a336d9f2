import { randomBytes } from "node:crypto";
import type { RunSpec } from "./vm-host.ts";

/** What a ticket opens. */
export type Opening =
  | {
      readonly kind: "console";
      readonly vm: string;
      readonly size: { readonly columns: number; readonly rows: number };
      readonly scrollbackBytes: number;
    }
  | { readonly kind: "exec"; readonly vm: string; readonly run: RunSpec };

const VALID_MS = 60_000;
const MOST_OPEN = 10_000;

/** Tickets for WebSockets: each opens one thing once, within a minute. */
export class Tickets {
  readonly #open = new Map<string, { readonly opening: Opening; readonly expiresAt: Date }>();

  issue(opening: Opening, now = Date.now()): { ticket: string; expiresAt: Date } {
    for (const [ticket, { expiresAt }] of this.#open) {
      if (expiresAt.getTime() > now && this.#open.size < MOST_OPEN) break;
      this.#open.delete(ticket);
    }
    const ticket = randomBytes(24).toString("base64url");
    const expiresAt = new Date(now + VALID_MS);
    this.#open.set(ticket, { opening, expiresAt });
    return { ticket, expiresAt };
  }

  /** What a ticket opens; from then on it opens nothing. */
  redeem(ticket: string, now = Date.now()): Opening | undefined {
    const found = this.#open.get(ticket);
    this.#open.delete(ticket);
    return found !== undefined && found.expiresAt.getTime() > now ? found.opening : undefined;
  }
}
