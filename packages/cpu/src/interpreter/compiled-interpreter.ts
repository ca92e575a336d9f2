import type { Shape } from "../semantics/context.ts";
import { enumerateShapes } from "./enumerate.ts";
import { numberHandlers, writeInterpreter } from "./interpreter.ts";

/** Set where the package is built: the SHA-256 of the bytes for either kind of memory, in hexadecimal. */
declare const INTERPRETER_DIGESTS: { readonly narrow: string; readonly wide: string } | undefined;
const digests = typeof INTERPRETER_DIGESTS === "undefined" ? undefined : INTERPRETER_DIGESTS;

/** The interpreter's WebAssembly, for who keeps what was compiled of it. */
export interface InterpreterCode {
  /**
   * The SHA-256 of its bytes, in hexadecimal, as found when the package was built; undefined where it runs from its sources,
   * which may change between two starts.
   */
  readonly sha256: string | undefined;
  /** Writes its bytes, which takes a tenth of a second. */
  write(): Uint8Array<ArrayBuffer>;
}

/** The interpreter as somebody compiled it. */
export interface InterpreterModule {
  readonly module: WebAssembly.Module;
  /** Told of each instance: of every processor of every machine. */
  readonly instantiated?: (instance: WebAssembly.Instance) => void;
}

/** The interpreter, compiled, and what its handlers are for. */
export interface CompiledInterpreter extends InterpreterModule {
  /** Handler numbers by `Shape.key`. */
  readonly handlers: ReadonlyMap<string, number>;
  /** Shapes by handler number. */
  readonly shapes: readonly (Shape | undefined)[];
}

const compiled = new Map<boolean, CompiledInterpreter>();
let compile = (code: InterpreterCode): InterpreterModule => ({
  module: new WebAssembly.Module(code.write()),
});

/**
 * Has the interpreter compiled by somebody who can do that faster, such as one who kept what was compiled before. Called before
 * the first machine is made; the module must be that of the code.
 */
export function compileInterpreterBy(other: typeof compile): void {
  compile = other;
}

/** The interpreter is the same for every machine, but for where the RAM is: compiled once. */
export function compiledInterpreter(wide: boolean): CompiledInterpreter {
  const known = compiled.get(wide);
  if (known !== undefined) return known;
  const all = enumerateShapes();
  const handlers = numberHandlers(all);
  const shapes: (Shape | undefined)[] = [];
  for (const shape of all) shapes[handlers.get(shape.key) as number] = shape;
  const sha256 = digests?.[wide ? "wide" : "narrow"];
  const made = {
    ...compile({ sha256, write: () => writeInterpreter(all, wide) }),
    handlers,
    shapes,
  };
  compiled.set(wide, made);
  return made;
}
