import { createHash } from "node:crypto";
import { SeededEntropy } from "@queztl/memory";
import { describe, expect, test } from "vitest";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { At, World, le } from "../conformance/world.ts";
import { wrmsr } from "../conformance/x2apic.ts";

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

/**
 * Instructions that a REP STOSQ and a REP MOVSB of a page take, ending in HLT. With `cached` the pages that they
 * write hold decoded code, as they would in a run that was not restored from a snapshot.
 */
function countOfRounds(cached: boolean): number {
  const machine = new VcpuMachine(1);
  const world = new World(machine, { mode: "long" });
  const page = At.data + 0x1000;
  world.code("f4", page);
  world.code("f4", page + 0x1000);
  if (cached) {
    for (const at of [page, page + 0x1000]) {
      world.state.rip = BigInt(at);
      machine.setState(0, world.state);
      machine.run(0, 10);
    }
    world.state.rip = BigInt(At.code);
  }
  // mov edi, page; mov ecx, 512; rep stosq; mov esi, code; mov ecx, 4000; rep movsb; hlt
  world.code(`bf${le(page, 4)} b900020000 f348ab be${le(At.code, 4)} b9a00f0000 f3a4 f4`);
  machine.setState(0, world.state);
  const before = machine.processors[0]?.instructions ?? 0;
  expect(machine.run(0, 10_000)).toBe("halt");
  return (machine.processors[0]?.instructions ?? 0) - before;
}

describe("a seeded run", () => {
  test("a repeated string instruction over decoded code → as many instructions as over data", () => {
    const [data, code] = [countOfRounds(false), countOfRounds(true)];
    expect(code).toBe(data);
    expect(data).toBeLessThan(20);
  });

  test("the same seed twice → the same states and memory", () => {
    expect(digestOfRun(1)).toBe(digestOfRun(1));
  });

  test("another seed → another run", () => {
    expect(digestOfRun(1)).not.toBe(digestOfRun(2));
  });
});
