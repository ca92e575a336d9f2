import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Decoder } from "../../src/decode/decoder.ts";
import { X86_64_V2 } from "../../src/isa/features.ts";
import { encode } from "../../src/isa/testing/encode.ts";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { World } from "../conformance/world.ts";
import { Chooser } from "../oracle/values.ts";
import { REFUSED, coverage, coverageDocument, isEmpty } from "./tested-forms.ts";

describe("instruction coverage", () => {
  test("every row of the opcode table → tested somehow", () => {
    expect(
      coverage()
        .filter(isEmpty)
        .map(({ entry }) => entry.text),
    ).toEqual([]);
  });

  test("docs/cpu-coverage.md → as generated", () => {
    const path = join(import.meta.dirname, "../../../../docs/cpu-coverage.md");
    expect(readFileSync(path, "utf8")).toBe(coverageDocument());
  });

  test("every row that is not offered → #UD, or the older instruction", () => {
    const machine = new VcpuMachine(1);
    const decoder = new Decoder({ features: X86_64_V2, vendor: "intel" });
    const chooser = new Chooser(1);
    const executed: string[] = [];
    for (const entry of REFUSED) {
      const mode = entry.long ? 64 : 32;
      const { bytes } = encode(entry, { mode, lock: false }, chooser.next);
      // Without their feature's prefix column some opcodes are older instructions: TZCNT is BSF.
      if (decoder.decode(bytes, 0, bytes.length, mode) >= 0) continue;
      const world = new World(machine, { mode: mode === 64 ? "long" : "protected" });
      world.code(Buffer.from(bytes).toString("hex"));
      const { vector } = world.start(10);
      if (vector !== 6) executed.push(`${entry.text}: ${String(vector)}`);
    }
    expect(executed).toEqual([]);
  });
});
