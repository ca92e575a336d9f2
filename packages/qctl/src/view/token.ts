import type { CreatedToken, Token } from "../resources.ts";
import { renderDetails } from "./details.ts";
import { listView } from "./list-view.ts";
import { printableLine } from "./printable.ts";
import { age } from "./units.ts";
import type { View } from "./view.ts";

export const tokenListView = listView<Token>({
  name: ({ id }) => id,
  columns: [
    { header: "ID", text: ({ id }) => id, least: 10 },
    { header: "NAME", text: ({ name }) => printableLine(name), least: 8 },
    { header: "SCOPES", text: ({ scopes }) => scopes.join(","), least: 10, drop: 1 },
    {
      header: "USED",
      text: ({ lastUsedAt }, { now }) => age(lastUsedAt, now),
      right: true,
      drop: 3,
    },
    { header: "EXPIRES", text: ({ expiresAt }) => expiresAt ?? "never", drop: 4 },
    { header: "AGE", text: ({ createdAt }, { now }) => age(createdAt, now), right: true, drop: 2 },
    { header: "REVOKED", text: ({ revokedAt }) => revokedAt ?? "-", wide: true, drop: 5 },
  ],
});

export const tokenView: View<Token> = {
  text: (token, page) =>
    renderDetails(
      [
        ["Token", token.id],
        ["Name", printableLine(token.name)],
        ["Scopes", token.scopes.join(", ")],
        ["Made", token.createdAt],
        ["Expires", token.expiresAt ?? "never"],
        ["Revoked", token.revokedAt ?? undefined],
      ],
      page,
    ),
  names: ({ id }) => [id],
};

/** The secret alone is the data; what it belongs to is for `-o wide`. */
export const createdTokenView: View<CreatedToken> = {
  text: ({ token, secret }, page) =>
    page.wide ? `${tokenView.text(token, page)}\n${secret}` : secret,
  names: ({ token }) => [token.id],
};
