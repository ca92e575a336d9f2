import { describe, expect, test } from "vitest";
import { compareAll, compareWithHost, newCampaign } from "./campaign.ts";
import type { Campaign } from "./campaign.ts";
import { EmulatedHost } from "./emulated.ts";
import { formsOf } from "./forms.ts";
import { harness } from "./host.ts";
import { INTEGER, VECTOR, readRecording } from "./recorded.ts";
import { compareSequences } from "./sequences.ts";
import { Chooser, memoryImage } from "./values.ts";

/** Of so many recorded instances one is translated too, which takes a millisecond. */
const TRANSLATED = 7;

/** The differences in words: an empty text is what is wanted. */
const reports = ({ different }: Campaign): string =>
  [...different.values()].flatMap((found) => found.reports.slice(0, 2)).join("\n");

describe.each([
  { name: "integer, string, bit, control and system instructions", kind: INTEGER, seed: 3 },
  { name: "x87, MMX and SSE instructions", kind: VECTOR, seed: 4 },
])("$name against a processor", ({ kind, seed }) => {
  test("recorded outcomes of every form → the same registers, flags, memory and faults", () => {
    const { list, outcomes, missing, stale } = readRecording(kind);
    const campaign = newCampaign();
    compareAll(campaign, new EmulatedHost(memoryImage()), list, outcomes);
    expect(reports(campaign)).toBe("");
    expect({ missing, stale }).toEqual({ missing: [], stale: [] });
    expect(campaign.completed).toBeGreaterThan(campaign.instances / 2);
  }, 60_000);

  test("recorded outcomes of some instances of every form, translated → the same", () => {
    const { list, outcomes } = readRecording(kind);
    // The list has the forms one after the other, again and again.
    const some = (_: unknown, index: number): boolean => index % TRANSLATED === 0;
    const campaign = newCampaign();
    const emulated = new EmulatedHost(memoryImage(), "eager");
    compareAll(campaign, emulated, list.filter(some), outcomes.filter(some));
    expect(reports(campaign)).toBe("");
    expect(campaign.completed).toBeGreaterThan(campaign.instances / 2);
    expect(emulated.cpu.board.translator?.statistics.regions).toBeGreaterThan(300);
  }, 120_000);

  test.runIf(harness !== undefined)(
    "other random instances on this host → no difference",
    () => {
      const campaign = compareWithHost(formsOf(kind.select), seed, 10_000, kind.vectors);
      expect(reports(campaign)).toBe("");
    },
    60_000,
  );
});

describe("sequences of integer instructions", () => {
  test.runIf(harness !== undefined)(
    "what one leaves in the flags, the next finds → as on this host",
    () => {
      const image = memoryImage();
      const emulated = new EmulatedHost(image);
      expect(compareSequences(emulated, image, new Chooser(5), 5_000).slice(0, 3)).toEqual([]);
    },
    60_000,
  );
});
