import type { Contexts } from "../context/contexts.ts";
import { listView } from "./list-view.ts";
import { printableLine } from "./printable.ts";

/** A context as it is shown. */
export interface ContextRow {
  readonly name: string;
  readonly current: boolean;
  readonly server: string;
  /** The token's beginning, or all of it where that was asked for; null where there is none. */
  readonly token: string | null;
}

/** The contexts as rows, by name. */
export const contextRows = ({ current, contexts }: Contexts, secrets: boolean): ContextRow[] =>
  Object.entries(contexts)
    .map(([name, { server, token }]) => ({
      name,
      current: name === current,
      server,
      token: token === undefined ? null : secrets ? token : masked(token),
    }))
    .sort((a, b) => a.name.localeCompare(b.name));

const masked = (token: string): string => `${token.slice(0, Math.min(6, token.length / 4))}…`;

export const contextListView = listView<ContextRow>({
  name: ({ name }) => name,
  columns: [
    { header: "CONTEXT", text: ({ name, current }) => (current ? `${name} *` : name), least: 10 },
    { header: "SERVER", text: ({ server }) => printableLine(server), least: 16 },
    {
      header: "TOKEN",
      text: ({ token }) => (token === null ? "-" : printableLine(token)),
      drop: 1,
    },
  ],
});
