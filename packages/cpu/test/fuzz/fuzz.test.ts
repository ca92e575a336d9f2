import { describe, expect, test } from "vitest";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { fuzzRound } from "./fuzz.ts";

describe("random code in all modes", () => {
  test("hundreds of rounds → guest faults and exits, nothing else", () => {
    const machine = new VcpuMachine(1);
    const ends = new Set<string>();
    for (let seed = 1; seed <= 150; seed++) ends.add(fuzzRound(machine, seed).end);
    expect([...ends].toSorted()).toEqual(["budget", "halt", "shutdown"]);
  }, 60_000);
});
