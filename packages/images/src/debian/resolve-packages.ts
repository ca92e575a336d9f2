import { imagesError } from "../errors.ts";
import type { DebianPackage } from "../package-index.ts";
import type { DependencyIndex, IndexedPackage } from "./dependency-index.ts";
import { relationText, satisfies } from "./relation.ts";
import type { Relation } from "./relation.ts";

/**
 * Finds the packages that some packages need, themselves among them, in the order of their names. Of
 * alternatives the one that is wanted anyway is taken, otherwise the first that there is: name what you
 * prefer among the wanted ones. Always the newest versions; Recommends are not followed.
 * @param without packages that are left out although something depends on them.
 * @throws QZ_IMAGES_UNRESOLVED for a dependency that nothing satisfies, or packages that exclude each other.
 */
export function resolvePackages(
  index: DependencyIndex,
  wanted: readonly string[],
  without: readonly string[] = [],
): DebianPackage[] {
  const selected = new Map<string, IndexedPackage>();
  const queue: IndexedPackage[] = [];
  const select = (found: IndexedPackage) => {
    if (selected.has(found.package.name)) return;
    selected.set(found.package.name, found);
    queue.push(found);
  };
  for (const name of wanted) {
    const found = index.get(name);
    if (!found) throw unresolved(name, `${index.source} does not have it`);
    select(found);
  }
  for (let next = queue.shift(); next; next = queue.shift()) {
    for (const group of next.depends) {
      if (group.some(({ name }) => without.includes(name))) continue;
      if (group.some((relation) => isSelected(relation, selected))) continue;
      const found = firstThere(group, index);
      if (!found) throw unresolved(next.package.name, `nothing is ${groupText(group)}`);
      select(found);
    }
  }
  checkConflicts(selected);
  const names = [...selected.keys()].sort();
  return names.flatMap((name) => selected.get(name)?.package ?? []);
}

function firstThere(
  group: readonly Relation[],
  index: DependencyIndex,
): IndexedPackage | undefined {
  for (const relation of group) {
    const real = index.get(relation.name);
    if (real && satisfies(real.package.version, relation)) return real;
    for (const name of index.providers(relation.name)) {
      const provider = index.get(name);
      if (provider && provides(provider, relation)) return provider;
    }
  }
  return undefined;
}

function isSelected(relation: Relation, selected: ReadonlyMap<string, IndexedPackage>): boolean {
  const real = selected.get(relation.name);
  if (real && satisfies(real.package.version, relation)) return true;
  return [...selected.values()].some((each) => provides(each, relation));
}

function provides(provider: IndexedPackage, relation: Relation): boolean {
  return provider.provides.some(
    ({ name, version }) => name === relation.name && satisfies(version, relation),
  );
}

function checkConflicts(selected: ReadonlyMap<string, IndexedPackage>): void {
  for (const each of selected.values()) {
    for (const relation of each.conflicts) {
      const others = [...selected.values()].filter((other) => other !== each);
      const other = others.find(
        ({ package: { name, version }, ...rest }) =>
          (name === relation.name && satisfies(version, relation)) ||
          provides({ package: each.package, ...rest }, relation),
      );
      if (!other) continue;
      const reason = `${other.package.name} excludes it (${relationText(relation)})`;
      throw unresolved(each.package.name, reason);
    }
  }
}

function groupText(group: readonly Relation[]): string {
  return group.map(relationText).join(" or ");
}

function unresolved(name: string, reason: string) {
  return imagesError("QZ_IMAGES_UNRESOLVED", { package: name, reason });
}
