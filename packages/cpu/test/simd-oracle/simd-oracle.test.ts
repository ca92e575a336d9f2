import { describe, expect, test } from "vitest";
import { semanticsName } from "../../src/interpreter/shapes.ts";
import { descriptions } from "../../src/semantics/descriptions.ts";
import { helpers } from "../../src/system/helpers.ts";
import { compare } from "./differences.ts";
import { Guest } from "./guest.ts";
import { harness } from "./host.ts";
import { VARIANTS, VECTOR_ENTRIES } from "./instances.ts";

/** Instances of each form; `compare.ts` runs more. */
const COUNT = 12;

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
  const found = missing === undefined ? compare(VARIANTS, COUNT, 1, new Guest()) : [];

  test.each(VARIANTS.map(({ name }, index) => ({ name, index })))(
    "$name → the processor's registers, flags, memory and faults",
    ({ index }) => {
      expect(found[index]?.differences).toEqual([]);
    },
  );
});
