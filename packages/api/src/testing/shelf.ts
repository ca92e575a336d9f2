import { QueztlError } from "@queztl/errors";

/** A thing that the fake keeps. */
export interface Kept {
  id: string;
  name?: string;
}

export const notFound = (kind: string, wanted: string) =>
  new QueztlError(
    "QZ_FAKE_NOT_FOUND",
    { status: "not-found", message: "there is no {kind} {wanted}" },
    { kind, wanted },
  );

export const conflict = (problem: string) =>
  new QueztlError("QZ_FAKE_CONFLICT", { status: "conflict", message: "{problem}" }, { problem });

/** Things of one kind in the order they came. */
export class Shelf<Thing extends Kept> {
  readonly kind: string;
  #things: Thing[] = [];
  #made = 0;

  constructor(kind: string) {
    this.kind = kind;
  }

  nextId(): string {
    this.#made += 1;
    return `${this.kind}-${this.#made}`;
  }

  add(thing: Thing): Thing {
    this.#things.push(thing);
    return thing;
  }

  find(wanted: string): Thing | undefined {
    return this.#things.find(({ id, name }) => id === wanted || name === wanted);
  }

  get(wanted: string): Thing {
    const found = this.find(wanted);
    if (found === undefined) throw notFound(this.kind, wanted);
    return found;
  }

  remove(wanted: string): Thing {
    const found = this.get(wanted);
    this.#things = this.#things.filter((thing) => thing !== found);
    return found;
  }

  get all(): readonly Thing[] {
    return this.#things;
  }

  /** The newest first; the cursor is the id of the last one given. */
  page(
    { limit, cursor }: { limit: number; cursor?: string | undefined },
    wanted: (thing: Thing) => boolean = () => true,
  ): { items: Thing[]; nextCursor: string | null } {
    const things = this.#things.toReversed();
    const from = cursor === undefined ? 0 : things.findIndex(({ id }) => id === cursor) + 1;
    const matching = things.slice(from).filter(wanted);
    const items = matching.slice(0, limit);
    return { items, nextCursor: matching.length > limit ? (items.at(-1)?.id ?? null) : null };
  }
}

/** The time that the fake believes it is. */
export const NOW = "2026-01-02T03:04:05.000Z";
