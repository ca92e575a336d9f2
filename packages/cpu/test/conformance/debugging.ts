import { At, le } from "./world.ts";
import type { Case, Verdict, World, WorldOptions } from "./world.ts";

/** Single step, breakpoints and the debug registers (Intel SDM vol. 3, chapter 18). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };

const dr =
  (...values: readonly (readonly [number, bigint])[]) =>
  (world: World) => {
    for (const [register, value] of values) world.state.debug[register] = value;
  };
const status =
  (bits: bigint) =>
  ({ state }: { state: { debug: bigint[] } }): Verdict => {
    const found = (state.debug[6] as bigint) & 0xe00fn;
    return found === bits ? undefined : `DR6 ${found.toString(16)}`;
  };
const TF = "9c 58 0d00010000 50 9d";
const ends =
  (frameFlag: number, set: boolean) =>
  ({ frame }: { frame: readonly bigint[] }): Verdict =>
    ((Number(frame[2]) & frameFlag) !== 0) === set ? undefined : `flags ${String(frame[2])}`;

export const debuggingCases: readonly Case[] = [
  {
    name: "TF set by POPF → #DB behind the next instruction, DR6.BS",
    world: long,
    code: `${TF} 90 90 f4`,
    expect: { vector: 1, at: 10, check: status(0x4000n) },
  },
  {
    name: "TF and a repeated string instruction → #DB after one round",
    world: long,
    prepare: (w) => {
      w.state.registers[1] = 3n;
      w.state.registers[7] = BigInt(At.data);
    },
    code: `${TF} f3aa f4`,
    expect: { vector: 1, at: 9, registers: { 1: 2n } },
  },
  {
    name: "TF and MOV SS → #DB one instruction later",
    world: long,
    code: `66b91000 ${TF} 8ed1 90 90 f4`,
    expect: { vector: 1, check: ({ frame }) => Number((frame[0] as bigint) & 0xfffn) === 16 },
  },
  {
    name: "TF and INT n → the handler runs without it",
    world: long,
    code: `${TF} cd30`,
    expect: { vector: 0x30 },
  },
  {
    name: "TF and SYSCALL that masks TF → the handler's #DB comes not",
    world: user,
    prepare: (w) => {
      w.state.msrs = {
        0xc0000081: 0x0023_0008_0000_0000n,
        0xc0000082: BigInt(At.handlers + 0x66),
        0xc0000084: 0x100n,
      };
    },
    code: `${TF} 0f05`,
    expect: { vector: 0x66 },
  },
  {
    name: "TF returned by IRETQ → #DB behind the instruction returned to",
    world: long,
    code: `6810000000 6800600000 6802010000 6808000000 68${le(At.code + 0x1b, 4)} 48cf 90 90 f4`,
    expect: { vector: 1, at: 0x1c },
  },
  {
    name: "code breakpoint → #DB at the instruction, DR6.B0, RF clear in the image",
    world: long,
    prepare: dr([0, BigInt(At.code + 2)], [7, 0x401n]),
    code: "90 90 90 f4",
    expect: {
      vector: 1,
      at: 2,
      check: (ending) => status(1n)(ending) ?? ends(0x10000, false)(ending),
    },
  },
  {
    name: "code breakpoint, RF set in the image by the handler → the instruction runs once",
    world: long,
    prepare: (w) => {
      dr([0, BigInt(At.code + 2)], [7, 0x401n])(w);
      w.gate(1, { offset: At.code + 0x100 });
      w.code("41ffc0 48814c241000000100 48cf", At.code + 0x100);
    },
    code: "90 90 90 f4",
    expect: { at: 4, registers: { 8: 1n } },
  },
  {
    name: "data breakpoint on writes, written → #DB behind the instruction, DR6.B1",
    world: long,
    prepare: dr([1, BigInt(At.data)], [7, 0xd00404n]),
    code: `8b0425${le(At.data, 4)} 890425${le(At.data, 4)} 90 f4`,
    expect: { vector: 1, at: 14, check: status(2n) },
  },
  {
    name: "data breakpoint on writes, a byte beside it written → nothing",
    world: long,
    prepare: dr([1, BigInt(At.data)], [7, 0xd00404n]),
    code: `880425${le(At.data + 4, 4)} 90 f4`,
    expect: { at: 9 },
  },
  {
    name: "data breakpoint on reads and writes, read → #DB",
    world: long,
    prepare: dr([2, BigInt(At.data + 2)], [7, 0x3000410n]),
    code: `8b0425${le(At.data, 4)} 90 f4`,
    expect: { vector: 1, at: 7, check: status(4n) },
  },
  {
    name: "data breakpoint met by PUSH → #DB behind it",
    world: long,
    prepare: dr([3, BigInt(At.stackTop - 8)], [7, 0x90000440n]),
    code: "50 90 f4",
    expect: { vector: 1, at: 1, check: status(8n) },
  },
  {
    name: "breakpoint register that is not enabled → nothing",
    world: long,
    prepare: dr([0, BigInt(At.code + 1)]),
    code: "90 90 f4",
    expect: { at: 3 },
  },
  {
    name: "I/O breakpoint, CR4.DE set, port written → #DB behind the OUT, DR6.B2",
    world: long,
    prepare(w) {
      w.state.debug[2] = 0x80n;
      w.state.debug[7] = 0x2000410n;
      w.state.cr4 |= 8;
    },
    code: "e681 e680 90",
    expect: {
      vector: 1,
      at: 4,
      check: ({ state }) => ((state.debug[6] as bigint) & 15n) === 4n,
    },
  },
  {
    name: "I/O breakpoint, CR4.DE clear → nothing",
    world: long,
    prepare(w) {
      w.state.debug[2] = 0x80n;
      w.state.debug[7] = 0x2000410n;
    },
    code: "e680 f4",
    expect: { at: 3 },
  },
  {
    name: "I/O breakpoint at an address that data is written to → nothing",
    world: long,
    prepare(w) {
      w.state.debug[2] = BigInt(At.data);
      w.state.debug[7] = 0x2000410n;
      w.state.cr4 |= 8;
    },
    code: `c60425${le(At.data, 4)}01 f4`,
    expect: { at: 9 },
  },
  {
    name: "#DB by single step while DR7.GD is set → GD cleared for the handler",
    world: long,
    prepare(w) {
      w.state.rflags = 0x102;
      w.state.debug[7] = 0x2400n;
    },
    code: "90 90",
    expect: { vector: 1, at: 1, check: ({ state }) => state.debug[7] === 0x400n },
  },
  {
    name: "MOV DR with DR7.GD → #DB, DR6.BD, GD cleared",
    world: long,
    prepare: dr([7, 0x2400n]),
    code: "0f21c0",
    expect: {
      vector: 1,
      at: 0,
      check: (ending) =>
        status(0x2000n)(ending) ?? ((ending.state.debug[7] as bigint) & 0x2000n) === 0n,
    },
  },
  {
    name: "MOV DR4 with CR4.DE → #UD",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 8),
    code: "0f21e0",
    expect: { vector: 6 },
  },
  {
    name: "MOV DR4 without CR4.DE → DR6",
    world: long,
    code: "0f21e0 f4",
    expect: { registers: { 0: 0xffff0ff0n } },
  },
  {
    name: "MOV DR6 with bits above 31 → #GP 0",
    world: long,
    code: "48b80000000001000000 0f23f0",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "MOV DR at CPL 3 → #GP 0",
    world: user,
    code: "0f21c0",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "INT1 at CPL 3 → #DB behind it, whatever the gate's DPL",
    world: user,
    code: "f1",
    expect: { vector: 1, at: 1 },
  },
];
