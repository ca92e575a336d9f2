import { describe, expect, test } from "vitest";
import { differences } from "../../test/float-oracle/host-oracle.ts";
import { SSE_GROUPS } from "../../test/float-oracle/sse-groups.ts";

const found = differences(SSE_GROUPS, 0, 1000);

describe("SSE arithmetic against the processor", () => {
  test.each(SSE_GROUPS.map(({ name }, index) => ({ name, index })))(
    "$name → the processor's results, flags and faults",
    ({ index }) => {
      expect(found[index]).toEqual([]);
    },
  );
});
