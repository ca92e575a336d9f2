import { At } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Port I/O and the I/O permission bit map (Intel SDM vol. 1, chapter 19). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };

const bitmap =
  (...ports: readonly number[]) =>
  (world: World) => {
    const at = At.tss + 0x68;
    // The I/O map shares the page with nothing that matters here.
    world.machine.write(at, new Uint8Array(0x2001).fill(0xff).subarray(0, 0x100));
    for (const port of ports) {
      const [byte] = world.machine.read(at + (port >> 3), 1);
      world.machine.write(at + (port >> 3), Uint8Array.of((byte as number) & ~(1 << (port & 7))));
    }
    world.state.segments.tr.limit = 0x68 + 0x80;
  };

export const portCases: readonly Case[] = [
  {
    name: "IN at CPL 0 → the device's value, upper half cleared",
    world: long,
    prepare: (w) => void (w.state.registers[0] = -1n & 0xffffffffffffffffn),
    code: "66ba3412 ed f4",
    expect: { registers: { 0: 0x5a5a5a5an } },
  },
  {
    name: "IN AL → the other bytes stay",
    world: long,
    prepare: (w) => void (w.state.registers[0] = 0x1122334455667788n),
    code: "e460 f4",
    expect: { registers: { 0: 0x112233445566775an } },
  },
  {
    name: "OUT of each size → the device sees it",
    world: long,
    code: "b811223344 e680 66e784 e788 f4",
    expect: {
      check: (_, w) =>
        JSON.stringify(w.machine.portWrites) ===
        JSON.stringify([
          [0x80, 1, 0x11],
          [0x84, 2, 0x2211],
          [0x88, 4, 0x44332211],
        ]),
    },
  },
  {
    name: "IN at CPL 3, IOPL 0, no map → #GP 0",
    world: user,
    code: "e460",
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "IN at CPL 3, IOPL 3 → done",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x3000;
      w.gate(0x30, { dpl: 3 });
    },
    code: "e460 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port clear in the map → done",
    world: user,
    prepare: (w) => {
      bitmap(0x60)(w);
      w.gate(0x30, { dpl: 3 });
    },
    code: "e460 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port set in the map → #GP 0",
    world: user,
    prepare: bitmap(0x60),
    code: "e461",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IN of two bytes at CPL 3, the second port set in the map → #GP 0",
    world: user,
    prepare: bitmap(0x67),
    code: "66e567",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IN of two bytes at CPL 3, both clear across a byte of the map → done",
    world: user,
    prepare: (w) => {
      bitmap(0x67, 0x68)(w);
      w.gate(0x30, { dpl: 3 });
    },
    code: "66e567 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "IN at CPL 3, port beyond the map → #GP 0",
    world: user,
    prepare: bitmap(),
    code: "66baff7f ec",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "REP OUTSB → each byte",
    world: long,
    prepare: (w) => {
      w.u32(At.data, 0x44332211);
      w.state.registers[1] = 3n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[2] = 0x80n;
    },
    code: "f36e f4",
    expect: {
      registers: { 1: 0n, 6: BigInt(At.data + 3) },
      check: (_, w) => w.machine.portWrites.map(([, , value]) => value).join() === "17,34,51",
    },
  },
  {
    name: "REP INSW → memory, RDI and RCX",
    world: long,
    prepare: (w) => {
      w.state.registers[1] = 3n;
      w.state.registers[7] = BigInt(At.data);
      w.state.registers[2] = 0x80n;
    },
    code: "66f36d f4",
    expect: {
      registers: { 1: 0n, 7: BigInt(At.data + 6) },
      check: (_, w) => w.readU64(At.data) === 0x5a5a5a5a5a5an,
    },
  },
  {
    name: "INSB to an absent page → #PF before the port is read",
    world: long,
    prepare: (w) => void (w.state.registers[7] = 0x600000n),
    code: "6c",
    expect: { vector: 14, error: 2, registers: { 7: 0x600000n } },
  },
];
