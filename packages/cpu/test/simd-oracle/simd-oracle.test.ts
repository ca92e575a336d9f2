import { describe, expect, test } from "vitest";
import { semanticsName } from "../../src/interpreter/shapes.ts";
import { descriptions } from "../../src/semantics/descriptions.ts";
import { helpers } from "../../src/system/helpers.ts";
import { compare } from "./differences.ts";
import { Guest } from "./guest.ts";
import { harness } from "./host.ts";
import { VARIANTS, VECTOR_ENTRIES } from "./instances.ts";
import type { Variant } from "./instances.ts";

/** Instances of each form, and of those with a fast and a slow path; `compare.ts` runs more. */
const COUNT = 10;
const COUNT_TWO_PATHS = 60;

const missing = "missing" in harness ? harness.missing : undefined;
if (missing !== undefined) console.warn(`vector instructions are not compared: ${missing}`);

test("every MMX and SSE form → a description or a helper", () => {
  const without = VECTOR_ENTRIES.filter((entry) => {
    const name = semanticsName(entry);
    return descriptions[name] === undefined && helpers[name] === undefined;
  });
  expect(without.map(({ text }) => text)).toEqual([]);
});

describe.skipIf(missing !== undefined)("vector instructions against the processor", () => {
  const hasTwoPaths = ({ entry }: Variant): boolean => helpers[semanticsName(entry)] !== undefined;
  const simple = VARIANTS.filter((variant) => !hasTwoPaths(variant));
  const variants = [...simple, ...VARIANTS.filter(hasTwoPaths)];
  const guest = new Guest();
  const found =
    missing === undefined
      ? [
          ...compare(simple, COUNT, 1, guest),
          ...compare(variants.slice(simple.length), COUNT_TWO_PATHS, 2, guest),
        ]
      : [];

  test.each(variants.map(({ name }, index) => ({ name, index })))(
    "$name → the processor's registers, flags, memory and faults",
    ({ index }) => {
      expect(found[index]?.differences).toEqual([]);
    },
  );
});
