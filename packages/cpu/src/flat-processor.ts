import { GuestMemory } from "@queztl/memory";
import type { CoreOptions } from "./core.ts";
import { Flag, Segment, State } from "./state/layout.ts";
import { setSegment } from "./system/descriptors.ts";
import { CODE_ARENA_BYTES, VCPU_ARENA_BYTES, Vcpu, createBoard } from "./vcpu.ts";
import type { BoardOptions } from "./vcpu.ts";

/** A processor with memory and nothing else. */
export interface FlatProcessor {
  readonly memory: GuestMemory;
  readonly vcpu: Vcpu;
}

/** How a flat processor is made. */
export interface FlatProcessorOptions extends CoreOptions, BoardOptions {
  /** RAM in bytes, a multiple of 4096; default 1 MiB. */
  readonly ramBytes?: number;
  /** Has memory with 64-bit addresses, as guests above 3.5 GiB need it, whatever the size. */
  readonly wide?: boolean;
  /** Of the code that it runs; default 64. */
  readonly bits?: 32 | 64;
}

const CODE = { 64: 0xa9b, 32: 0xc9b } as const;
const DATA = 0xc93;

/**
 * Makes a processor that runs 64-bit code, or 32-bit code, at once: privilege level 0, SSE usable, interrupts off, and
 * linear addresses are guest-physical ones, without page tables. No real processor has this state; it is for trying
 * code, for tests and for teaching. Load code with `memory.writeBytes`, set `vcpu.rip`, call `vcpu.run`.
 * @throws QZ_MEMORY_SIZE for a size that memory cannot have, QZ_MEMORY_NARROW where the host has no such memory.
 */
export function createFlatProcessor(options: FlatProcessorOptions = {}): FlatProcessor {
  const { ramBytes = 1024 * 1024, wide = false, bits = 64, tier, recordBytes, ...core } = options;
  const arenaBytes = CODE_ARENA_BYTES + VCPU_ARENA_BYTES;
  const memory = new GuestMemory({ ramBytes, arenaBytes, wide });
  const board = { ...(tier !== undefined && { tier }), ...(recordBytes && { recordBytes }) };
  const vcpu = new Vcpu(createBoard(memory, undefined, undefined, board), core);
  vcpu.waitingForStartup = false;
  vcpu.flags = Flag.Fixed;
  vcpu.setU64(State.Cr0, 0x33n);
  vcpu.setU64(State.Cr4, 0x620n);
  vcpu.setU64(State.Efer, 0xd01n);
  setSegment(vcpu, Segment.Cs, 8, 0n, 0xffffffff, CODE[bits]);
  for (const segment of [Segment.Ss, Segment.Ds, Segment.Es, Segment.Fs, Segment.Gs]) {
    setSegment(vcpu, segment, 16, 0n, 0xffffffff, DATA);
  }
  vcpu.rip = 0n;
  vcpu.sync();
  return { memory, vcpu };
}
