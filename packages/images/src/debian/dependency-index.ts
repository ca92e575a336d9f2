import { compareVersions, parsePackageIndex } from "../package-index.ts";
import type { DebianPackage } from "../package-index.ts";
import { parseRelations } from "./relation.ts";
import type { Relation } from "./relation.ts";

/** A package with all that decides whether it can be installed. */
export interface IndexedPackage {
  readonly package: DebianPackage;
  /** Depends and Pre-Depends: one alternative of each group is needed. */
  readonly depends: readonly (readonly Relation[])[];
  /** Conflicts and Breaks. */
  readonly conflicts: readonly Relation[];
  /** Virtual packages it stands for; a version only where it says "=". */
  readonly provides: readonly Relation[];
}

/** A Packages index that packages are looked up in; each is read when it is first asked for. */
export class DependencyIndex {
  readonly source: string;
  readonly #paragraphs = new Map<string, string[]>();
  readonly #providers = new Map<string, Set<string>>();
  readonly #read = new Map<string, IndexedPackage | undefined>();
  readonly #essential = new Set<string>();

  /** @param text a Packages index: paragraphs of "Field: value" (deb822(5)). */
  constructor(text: string, source: string) {
    this.source = source;
    for (const paragraph of text.split(/\n\s*\n/)) {
      const name = field(paragraph, "Package");
      if (name === undefined) continue;
      const there = this.#paragraphs.get(name);
      if (there) there.push(paragraph);
      else this.#paragraphs.set(name, [paragraph]);
      if (field(paragraph, "Essential") === "yes") this.#essential.add(name);
      for (const [virtual] of parseRelations(field(paragraph, "Provides") ?? "")) {
        if (!virtual) continue;
        const providers = this.#providers.get(virtual.name) ?? new Set();
        this.#providers.set(virtual.name, providers.add(name));
      }
    }
  }

  /** The packages that every Debian has, by name. */
  get essential(): readonly string[] {
    return [...this.#essential].sort();
  }

  /**
   * The newest package of a name, or undefined.
   * @throws QZ_IMAGES_BAD_INDEX
   */
  get(name: string): IndexedPackage | undefined {
    if (this.#read.has(name)) return this.#read.get(name);
    const found = (this.#paragraphs.get(name) ?? [])
      .flatMap((paragraph) => this.#parse(paragraph))
      .sort((a, b) => compareVersions(b.package.version, a.package.version))[0];
    this.#read.set(name, found);
    return found;
  }

  /** The packages that provide a virtual one, by name. */
  providers(name: string): readonly string[] {
    return [...(this.#providers.get(name) ?? [])].sort();
  }

  #parse(paragraph: string): IndexedPackage[] {
    const relations = (name: string) => parseRelations(field(paragraph, name) ?? "");
    return parsePackageIndex(paragraph, this.source).map((found) => ({
      package: found,
      depends: [...relations("Pre-Depends"), ...relations("Depends")],
      conflicts: [...relations("Conflicts"), ...relations("Breaks")].flat(),
      provides: relations("Provides").flat(),
    }));
  }
}

function field(paragraph: string, name: string): string | undefined {
  // A search is far faster than a regular expression over sixty thousand paragraphs.
  const key = `${name}: `;
  const at = paragraph.startsWith(key) ? 0 : paragraph.indexOf(`\n${key}`) + 1;
  if (at === 0 && !paragraph.startsWith(key)) return undefined;
  const end = paragraph.indexOf("\n", at);
  return paragraph.slice(at + key.length, end < 0 ? undefined : end).trim();
}
