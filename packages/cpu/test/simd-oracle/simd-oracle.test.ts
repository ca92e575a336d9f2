import { describe, expect, test } from "vitest";
import { semanticsName } from "../../src/interpreter/shapes.ts";
import { descriptions } from "../../src/semantics/descriptions.ts";
import { helpers } from "../../src/system/helpers.ts";
import { compare } from "./differences.ts";
import { Guest } from "./guest.ts";
import { askHost, harness } from "./host.ts";
import { UNDEFINED, VARIANTS, VECTOR_ENTRIES } from "./instances.ts";
import { difference, readRecording, recordedInstances } from "./recorded.ts";

test("every MMX and SSE form → a description or a helper", () => {
  const without = VECTOR_ENTRIES.filter((entry) => {
    const name = semanticsName(entry);
    return descriptions[name] === undefined && helpers[name] === undefined;
  });
  expect(without.map(({ text }) => text)).toEqual([]);
});

test("each thing that is left open → instructions that have it", () => {
  for (const { mnemonics } of UNDEFINED) {
    expect(VECTOR_ENTRIES.some(({ mnemonic }) => mnemonics.test(mnemonic))).toBe(true);
  }
});

const missing = "missing" in harness ? harness.missing : undefined;
if (missing !== undefined) console.warn(`compared with recorded answers: ${missing}`);

const before = recordedInstances();
const guest = new Guest();

describe("vector instructions against an AMD processor", () => {
  // compare.ts runs more.
  const after = missing === undefined ? askHost(before) : readRecording(before);
  const found = compare(VARIANTS, before, after, guest);

  test.each(VARIANTS.map(({ name }, index) => ({ name, index })))(
    "$name → its registers, flags, memory and faults",
    ({ index }) => {
      expect(found[index]?.differences).toEqual([]);
    },
  );

  test.skipIf(missing !== undefined)("the recording → what the processor does now", () => {
    const recorded = difference(before, readRecording(before));
    expect(Buffer.compare(recorded, difference(before, after))).toBe(0);
  });
});
