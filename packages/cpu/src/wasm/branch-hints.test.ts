import { expect, test } from "vitest";
import { ModuleBuilder, i32, i64, likely, unlikely } from "./index.ts";
import type { Local } from "./index.ts";

const SIGNATURE = { parameters: ["i32"], results: ["i32"] } as const;
const IF = 0x04;
const BR_IF = 0x0d;

/** Reads a module's sections. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.bytes[this.at++] as number;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  times<T>(read: () => T): T[] {
    return Array.from({ length: this.u32() }, read);
  }
}

interface Hint {
  readonly index: number;
  readonly opcode: number | undefined;
  readonly value: number;
}

/** What the custom section says, with the opcodes that it says it of (WebAssembly branch hinting proposal). */
function hintsOf(bytes: Uint8Array, imports: number): Hint[] {
  const reader = new Reader(bytes, 8);
  const hints: { index: number; offset: number; value: number }[] = [];
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const end = reader.u32() + reader.at;
    if (id === 0) {
      const name = String.fromCharCode(...reader.times(() => reader.byte()));
      expect(name).toBe("metadata.code.branch_hint");
      reader.times(() => {
        const index = reader.u32();
        reader.times(() => {
          const offset = reader.u32();
          expect(reader.u32()).toBe(1);
          hints.push({ index, offset, value: reader.byte() });
        });
      });
      expect(reader.at).toBe(end);
    }
    if (id === 10) {
      const bodies = reader.times(() => {
        const length = reader.u32();
        reader.at += length;
        return bytes.subarray(reader.at - length, reader.at);
      });
      return hints.map(({ index, offset, value }) => {
        return { index, opcode: bodies[index - imports]?.[offset], value };
      });
    }
    reader.at = end;
  }
  return [];
}

test("conditions said to be likely and unlikely → hints at their branches, other branches have none", () => {
  const module = new ModuleBuilder();
  module.importFunction("host", [], []);
  module.define(SIGNATURE, (f) => f.return(i32.const(0)), "plain");
  module.define(
    SIGNATURE,
    (f) => {
      const [{ get: x }] = f.parameters as [Local<"i32">];
      // Locals and a prologue lie before the code that the hints were made in.
      const local = f.local("i32");
      const other = f.local("i64");
      f.block((leave) => {
        f.if(x, () => f.set(local, i32.const(1)));
        f.if(unlikely(i32.eqz(x)), () => f.return(i32.const(7)));
        f.brIf(leave, likely(x));
        f.brIf(leave, x);
      });
      f.prologue(() => {
        f.if(likely(x), () => f.set(local, i32.const(1000)));
        f.set(other, i64.const(5));
      });
      f.return(local.get);
    },
    "hinted",
  );
  const bytes = module.encode(1);
  expect(WebAssembly.validate(bytes)).toBe(true);
  expect(hintsOf(bytes, 1)).toEqual([
    { index: 2, opcode: IF, value: 1 },
    { index: 2, opcode: IF, value: 0 },
    { index: 2, opcode: BR_IF, value: 1 },
  ]);
});
