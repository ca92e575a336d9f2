import { i32, i64 } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64, Local, Place, Relative } from "../wasm/index.ts";

/** How far apart accesses may lie for one to be compared with the page of another: seldom does a border lie between. */
const MOST_SPAN = 128n;
/** How many pages are known by one base: arrays are gone through by one index. */
const MOST_PAGES = 4;
const PAGE_BYTES = i64.const(4096);

/** A page that an access went to, by what its address is relative to. */
interface KnownPage {
  /** The access's address and its place in the memory. */
  readonly linear: Local<"i64">;
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
 * Which pages a region's code has translated. Nothing changes the TLB while a region runs: an access near one that
 * went before, by the same base, needs no more than a comparison of the two addresses.
 */
export class RegionPages {
  readonly #f: FunctionBuilder;
  #registers = new Map<number, Relative>();
  /** The latest first. */
  #pages = new Map<string, readonly KnownPage[]>();
  readonly #locals: { linear: Local<"i64">; place: Local<"i32" | "i64"> }[] = [];
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
    const outside = (address: I64): I32 => i64.lt_u(i64.xor(address, page.linear.get), PAGE_BYTES);
    const checks: I32[] = [];
    if (low < page.low) checks.push(outside(linear));
    if (high > page.high) checks.push(outside(i64.add(linear, i64.const(bytes - 1))));
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
      linear: f.lasting("i64"),
      place: f.lasting<"i32" | "i64">(place.type),
    });
    f.set(locals.linear, linear);
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
