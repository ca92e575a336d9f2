import { compareVersions } from "../package-index.ts";

/** One package of a relation field, with the versions it may have. */
export interface Relation {
  readonly name: string;
  readonly operator?: "<<" | "<=" | "=" | ">=" | ">>";
  readonly version?: string;
}

const RELATION =
  /^([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?(?:\s*\((<<|<=|=|>=|>>)\s*([^\s)]+)\s*\))?/;

/**
 * Reads a relation field such as Depends (deb-control(5)): groups, of each of which one alternative is
 * enough. What cannot be read is left out, as architectures and build profiles are.
 */
export function parseRelations(field: string): Relation[][] {
  return field
    .split(",")
    .map((group) => group.split("|").flatMap((text) => parseRelation(text.trim())))
    .filter((group) => group.length > 0);
}

function parseRelation(text: string): Relation[] {
  const match = RELATION.exec(text);
  const [, name, operator, version] = match ?? [];
  if (name === undefined) return [];
  if (operator === undefined || version === undefined) return [{ name }];
  return [{ name, operator: operator as NonNullable<Relation["operator"]>, version }];
}

/** Whether a package of this version is one that the relation means. */
export function satisfies(version: string | undefined, relation: Relation): boolean {
  if (relation.operator === undefined || relation.version === undefined) return true;
  // Something provided without a version satisfies no relation that asks for one.
  if (version === undefined) return false;
  const order = compareVersions(version, relation.version);
  switch (relation.operator) {
    case "<<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "=":
      return order === 0;
    case ">=":
      return order >= 0;
    case ">>":
      return order > 0;
  }
}

/** A relation as Debian writes it, for errors. */
export function relationText({ name, operator, version }: Relation): string {
  return operator === undefined ? name : `${name} (${operator} ${version})`;
}
