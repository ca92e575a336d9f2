import { createHash } from "node:crypto";
import { SeededEntropy } from "@queztl/memory";
import { describe, expect, test } from "vitest";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { At, World, le } from "../conformance/world.ts";
import { wrmsr } from "../conformance/interrupts.ts";

/**
 * Asks for random numbers and the time, writes them over memory and stack, and takes timer interrupts whose
 * handler counts.
 */
const PROGRAM = [
  `${wrmsr(0x83e, 11)} ${wrmsr(0x832, 0x20040)} ${wrmsr(0x838, 700)} fb`,
  // loop: rdrand rax; jnc loop; rdtsc; add rbx, rax; xor rdx, rbx; mov [rdi + data], rdx; add edi, 8; and edi, 0xff8
  "480fc7f0 73fa 4801c3 0f31 4801c3 4831da",
  `488997${le(At.data, 4)} 83c708 81e7f80f0000`,
  // rdseed rcx; add r9, rcx; push r9; pop r10; imul r10, rbx; jmp loop
  "480fc7f9 4901c9 4151 415a 4c0fafd3 ebce",
].join("");

/** Runs the program in slices; the digest of all states between them and of the memory at the end. */
function digestOfRun(seed: number): string {
  const machine = new VcpuMachine(1, new SeededEntropy(seed));
  const world = new World(machine, { mode: "long" });
  world.code(PROGRAM);
  world.gate(0x40, { offset: At.code + 0x800 });
  // Counts, ends the interrupt, returns with RAX, RCX and RDX as they were.
  world.code(`49ffc0 505152 ${wrmsr(0x80b, 0)} 5a5958 48cf`, At.code + 0x800);
  world.state.msrs = { 0x1b: 0xfee00d00n, 0x80f: 0x1ffn };
  machine.setState(0, world.state);
  const hash = createHash("sha256");
  const [cpu] = machine.processors;
  let interrupts = 0n;
  for (let slice = 0; slice < 400; slice++) {
    expect(machine.run(0, 97)).toBe("budget");
    // One instruction takes a nanosecond.
    machine.pass(97);
    const { registers, rip, rflags } = machine.getState(0);
    hash.update(`${registers.join()} ${rip} ${rflags} ${cpu?.instructions}\n`);
    interrupts = registers[8] as bigint;
  }
  expect(interrupts).toBeGreaterThan(3n);
  hash.update(machine.read(0, 0x30000));
  return hash.digest("hex");
}

describe("a seeded run", () => {
  test("the same seed twice → the same states and memory", () => {
    expect(digestOfRun(1)).toBe(digestOfRun(1));
  });

  test("another seed → another run", () => {
    expect(digestOfRun(1)).not.toBe(digestOfRun(2));
  });
});
