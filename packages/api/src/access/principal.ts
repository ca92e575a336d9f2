import type { Scope } from "./scopes.ts";

/** Who calls: the token that was accepted, never its secret. */
export interface Principal {
  /** The token's id; also in audit events. */
  readonly tokenId: string;
  /** The name its owner gave it. */
  readonly name: string;
  readonly scopes: readonly Scope[];
}

/** The principal of the server's own work, which no token stands for. */
export const SYSTEM_PRINCIPAL: Principal = { tokenId: "system", name: "system", scopes: ["admin"] };
