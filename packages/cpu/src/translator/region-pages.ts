import { PAGE_BYTES } from "@queztl/memory";
import { i32, i64 } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64, Local, Place, Relative } from "../wasm/index.ts";

/** How far apart accesses may lie for one to be compared with the page of another: seldom does a border lie between. */
const MOST_SPAN = 128n;
/** How many pages are known by one base: arrays are gone through by one index. */
const MOST_PAGES = 4;

/** A page that an access went to, by what its address is relative to. */
interface KnownPage {
  /** How far from the page's first byte the access was, and its place in the memory. */
  readonly offset: Local<"i32">;
  readonly place: Local<"i32" | "i64">;
  readonly by: bigint;
  /** From the first to the last byte that is known to lie in the page. */
  low: bigint;
  high: bigint;
  readonly writable: boolean;
}

/** What is known at one point of a region: what each register is relative to, and the pages. */
export interface PageKnowledge {
  readonly registers: ReadonlyMap<number, Relative>;
  readonly pages: ReadonlyMap<string, readonly KnownPage[]>;
  readonly locals: number;
}

/** An access that needs no look at the TLB. */
export interface KnownAccess {
  readonly place: Place;
  /** What must hold for that. */
  readonly checks: readonly I32[];
}

/**
 * Which pages a region's code has translated. Nothing changes the TLB while a region runs: an access at a known distance from one that
 * went before is in the same page if that one was not too near the page's end.
 */
export class RegionPages {
  readonly #f: FunctionBuilder;
  #registers = new Map<number, Relative>();
  /** The latest first. */
  #pages = new Map<string, readonly KnownPage[]>();
  readonly #locals: { offset: Local<"i32">; place: Local<"i32" | "i64"> }[] = [];
  #used = 0;
  #names = 0;

  constructor(f: FunctionBuilder) {
    this.#f = f;
  }

  /** What is known here, for a block that is reached from here only. */
  get knowledge(): PageKnowledge {
    const pages = new Map(
      [...this.#pages].map(([name, list]) => [name, list.map((page) => ({ ...page }))]),
    );
    return { registers: new Map(this.#registers), pages, locals: this.#used };
  }

  /** Begins a block. */
  begin(known?: PageKnowledge): void {
    this.#registers = new Map(known?.registers);
    this.#pages = new Map(known?.pages);
    this.#used = known?.locals ?? 0;
  }

  /** A register, with what it is relative to now. */
  tracked(number: number, local: Local<"i64">): Local<"i64"> {
    const relative = this.#registers.get(number) ?? this.#fresh();
    this.#registers.set(number, relative);
    return { ...local, get: { ...local.get, relative } };
  }

  /** A register was written; `relative` says to what, if that is known on all ways here. */
  moved(number: number, relative: Relative | undefined): void {
    this.#registers.set(number, relative ?? this.#fresh());
  }

  #fresh(): Relative {
    return { to: `${this.#names++}`, by: 0n };
  }

  /** @param extend what is compared holds from here on. */
  find(linear: I64, bytes: number, write: boolean, extend: boolean): KnownAccess | undefined {
    const relative = relativeOf(linear);
    if (relative === undefined) return undefined;
    const low = relative.by;
    const high = low + BigInt(bytes - 1);
    const page = this.#pages
      .get(relative.to)
      ?.find(
        (known) =>
          (known.writable || !write) &&
          largest(high, known.high) - least(low, known.low) < MOST_SPAN,
      );
    if (page === undefined) return undefined;
    const { get: offset } = page.offset;
    const checks: I32[] = [];
    if (low < page.low) checks.push(i32.ge_u(offset, i32.const(Number(page.by - low))));
    if (high > page.high) {
      checks.push(i32.le_u(offset, i32.const(PAGE_BYTES - 1 - Number(high - page.by))));
    }
    if (extend) {
      page.low = least(low, page.low);
      page.high = largest(high, page.high);
    }
    const distance = low - page.by;
    const { get: place } = page.place;
    return {
      place:
        place.type === "i64"
          ? i64.add(place as I64, i64.const(distance))
          : i32.add(place as I32, i32.const(Number(distance))),
      checks,
    };
  }

  /** An access was translated, on all ways that lead on from here. */
  note(linear: I64, bytes: number, writable: boolean, place: Place): void {
    const relative = relativeOf(linear);
    if (relative === undefined) return;
    const f = this.#f;
    const locals = (this.#locals[this.#used++] ??= {
      offset: f.lasting("i32"),
      place: f.lasting<"i32" | "i64">(place.type),
    });
    f.set(locals.offset, i32.and(i32.wrap_i64(linear), i32.const(PAGE_BYTES - 1)));
    f.set(locals.place, place);
    const { to, by } = relative;
    const page = { ...locals, by, low: by, high: by + BigInt(bytes - 1), writable };
    this.#pages.set(to, [page, ...(this.#pages.get(to) ?? [])].slice(0, MOST_PAGES));
  }
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const largest = (a: bigint, b: bigint): bigint => (a > b ? a : b);

function relativeOf({ relative, constant }: I64): Relative | undefined {
  return typeof constant === "bigint" ? { to: "", by: constant } : relative;
}
