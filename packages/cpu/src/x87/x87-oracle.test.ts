import { describe, expect, test } from "vitest";
import { differences } from "../../test/float-oracle/host-oracle.ts";
import { SSE_GROUPS } from "../../test/float-oracle/sse-groups.ts";
import { X87_GROUPS } from "../../test/float-oracle/x87-groups.ts";

const found = differences(X87_GROUPS, SSE_GROUPS.length, 100);

describe("x87 instructions against the processor", () => {
  test.each(X87_GROUPS.map(({ name }, index) => ({ name, index })))(
    "$name → the processor's registers, flags, memory and faults",
    ({ index }) => {
      expect(found[index]).toEqual([]);
    },
  );
});
