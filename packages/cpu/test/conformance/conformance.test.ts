import { describe, expect, test } from "vitest";
import { CASES } from "./cases.ts";
import { VcpuMachine } from "./vcpu-machine.ts";
import { runCase } from "./world.ts";

const machine = new VcpuMachine();

describe.each(Object.entries(CASES))("%s", (_, cases) => {
  test.each(cases.map((item) => [item.name, item] as const))("%s", (__, item) => {
    expect(runCase(machine, item)).toEqual([]);
  });
});
