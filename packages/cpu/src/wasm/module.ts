import { ByteSink } from "./bytes.ts";
import { valueTypeCode } from "./expression.ts";
import type { Expr, ValueType } from "./expression.ts";
import { FunctionBuilder } from "./function.ts";
import type { Callee, Signature } from "./function.ts";

interface ImportedGlobal {
  readonly name: string;
  readonly type: ValueType;
}

interface Defined {
  readonly builder: FunctionBuilder;
  readonly exportAs: string | undefined;
}

/** The most pages that a memory of 64-bit addresses has in V8. */
const WIDE_PAGES = 1 << 18;

/**
 * A WebAssembly module under construction: imports under the module name `env` (one shared memory,
 * functions, immutable globals), then functions. All imports are declared before the first function.
 */
export class ModuleBuilder {
  readonly #types: Signature[] = [];
  readonly #imports: { name: string; signature: Signature }[] = [];
  readonly #globals: ImportedGlobal[] = [];
  readonly #functions: Defined[] = [];
  #table: string | undefined;
  readonly #wide: boolean;

  /** @param wide whether it has a second memory, `ram`, of 64-bit addresses. */
  constructor(wide = false) {
    this.#wide = wide;
  }

  /** A function the host gives. */
  importFunction(
    name: string,
    parameters: readonly ValueType[],
    results: readonly ValueType[],
  ): Callee {
    if (this.#functions.length > 0) throw new Error("imports come before functions");
    const signature = { parameters, results };
    this.#imports.push({ name, signature });
    return { signature, index: this.#imports.length - 1 };
  }

  /** An immutable global the host gives. */
  importGlobal<T extends ValueType>(name: string, type: T): Expr<T> {
    const index = this.#globals.length;
    this.#globals.push({ name, type });
    return {
      type,
      emit(out) {
        out.byte(0x23);
        out.u32(index);
      },
    };
  }

  /** A table of functions the host gives; at most one. */
  importTable(name: string): void {
    this.#table = name;
  }

  /** The index of a signature in this module, for `callIndirect`. */
  typeIndex(signature: Signature): number {
    return this.#typeIndex(signature);
  }

  /** A function of this module; `body` writes it at once. It may call itself and what was defined before. */
  define(
    signature: Signature,
    body: (f: FunctionBuilder, self: Callee) => void,
    exportAs?: string,
  ): Callee {
    const builder = new FunctionBuilder(signature, this.#wide);
    const self = { signature, index: this.#imports.length + this.#functions.length };
    this.#functions.push({ builder, exportAs });
    body(builder, self);
    return self;
  }

  /** The module's binary form, importing a shared memory of `memoryPages` 64 KiB pages at most. */
  encode(memoryPages: number): Uint8Array<ArrayBuffer> {
    const out = new ByteSink();
    for (const byte of [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(byte);
    const importTypes = this.#imports.map(({ signature }) => this.#typeIndex(signature));
    const functionTypes = this.#functions.map(({ builder }) => this.#typeIndex(builder.signature));
    section(out, 1, (s) => {
      s.u32(this.#types.length);
      for (const { parameters, results } of this.#types) {
        s.byte(0x60);
        for (const list of [parameters, results]) {
          s.u32(list.length);
          for (const type of list) s.byte(valueTypeCode[type]);
        }
      }
    });
    section(out, 2, (s) => {
      const memories = this.#wide ? 2 : 1;
      const tables = this.#table === undefined ? 0 : 1;
      s.u32(this.#imports.length + this.#globals.length + memories + tables);
      this.#imports.forEach(({ name }, i) => {
        s.name("env");
        s.name(name);
        s.byte(0);
        s.u32(importTypes[i] as number);
      });
      s.name("env");
      s.name("memory");
      s.byte(2);
      s.byte(3);
      s.u32(0);
      s.u32(memoryPages);
      if (this.#table !== undefined) {
        s.name("env");
        s.name(this.#table);
        for (const byte of [1, 0x70, 0, 0]) s.byte(byte);
      }
      if (this.#wide) {
        s.name("env");
        s.name("ram");
        for (const byte of [2, 7]) s.byte(byte);
        s.u32(0);
        s.u32(WIDE_PAGES);
      }
      for (const { name, type } of this.#globals) {
        s.name("env");
        s.name(name);
        s.byte(3);
        s.byte(valueTypeCode[type]);
        s.byte(0);
      }
    });
    section(out, 3, (s) => {
      s.u32(functionTypes.length);
      for (const type of functionTypes) s.u32(type);
    });
    const exported = this.#functions
      .map(({ exportAs }, i) => ({ exportAs, index: this.#imports.length + i }))
      .filter(({ exportAs }) => exportAs !== undefined);
    section(out, 7, (s) => {
      s.u32(exported.length);
      for (const { exportAs, index } of exported) {
        s.name(exportAs as string);
        s.byte(0);
        s.u32(index);
      }
    });
    const codes = this.#functions.map(({ builder }) => builder.encode());
    // A custom section: engines that do not know it pass over it.
    section(out, 0, (s) => {
      s.name("metadata.code.branch_hint");
      const hinted = codes
        .map(({ hints }, i) => ({ hints, index: this.#imports.length + i }))
        .filter(({ hints }) => hints.length > 0);
      s.u32(hinted.length);
      for (const { hints, index } of hinted) {
        s.u32(index);
        s.u32(hints.length);
        for (const { offset, holds } of hints) {
          s.u32(offset);
          s.u32(1);
          s.byte(holds ? 1 : 0);
        }
      }
    });
    section(out, 10, (s) => {
      s.u32(codes.length);
      for (const { body } of codes) {
        s.u32(body.length);
        s.append(body);
      }
    });
    return out.toBytes();
  }

  #typeIndex(signature: Signature): number {
    const key = JSON.stringify(signature);
    const known = this.#types.findIndex((type) => JSON.stringify(type) === key);
    if (known >= 0) return known;
    const { parameters, results } = signature;
    return this.#types.push({ parameters, results }) - 1;
  }
}

function section(out: ByteSink, id: number, fill: (content: ByteSink) => void): void {
  const content = new ByteSink();
  fill(content);
  out.byte(id);
  out.u32(content.length);
  out.append(content);
}
