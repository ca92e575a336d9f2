import { usualCount } from "../semantics/float-lanes.ts";
import { State } from "../state/layout.ts";
import { i32 } from "../wasm/index.ts";
import type { FunctionBuilder, I32, Local } from "../wasm/index.ts";

/** MXCSR in a region, and what follows from it, each in a local if the region asks for it. */
export class RegionControl {
  readonly #f: FunctionBuilder;
  readonly #state: I32;
  #control: Local<"i32"> | undefined;
  readonly #usual = new Map<"f32" | "f64", Local<"i32">>();

  constructor(f: FunctionBuilder, state: I32) {
    this.#f = f;
    this.#state = state;
  }

  get get(): I32 {
    return this.#local.get;
  }

  get #local(): Local<"i32"> {
    return (this.#control ??= this.#f.lasting("i32"));
  }

  /** `usualCount`. */
  usual(type: "f32" | "f64"): Local<"i32"> {
    const known = this.#usual.get(type);
    if (known !== undefined) return known;
    const made = this.#f.lasting("i32");
    this.#usual.set(type, made);
    return made;
  }

  set(value: I32): void {
    this.#f.set(this.#local, value);
    this.#f.store.i32(this.#state, this.get, State.Mxcsr);
    this.#follow();
  }

  /** Takes it from the state. */
  load(): void {
    if (this.#control === undefined && this.#usual.size === 0) return;
    this.#f.set(this.#local, i32.load(this.#state, State.Mxcsr));
    this.#follow();
  }

  #follow(): void {
    // All: one that is asked for behind a loop's end may be needed at its beginning.
    for (const type of ["f32", "f64"] as const) {
      this.#f.set(this.usual(type), usualCount(type, this.get));
    }
  }
}
