import { GuestMemory } from "@queztl/memory";
import { expect, test } from "vitest";
import { MemoryType, memoryMap } from "./memory-map.ts";

const { Ram, Reserved, Acpi } = MemoryType;
const MIB = 1 << 20;

test("256 MiB → RAM without the hole below 1 MiB and the BIOS area", () => {
  const { regions } = new GuestMemory({ ramBytes: 256 * MIB });
  expect(memoryMap(regions)).toEqual([
    { address: 0, length: 0x9_fc00, type: Ram },
    { address: 0x9_fc00, length: 0x400, type: Reserved },
    { address: 0xe_0000, length: 0x2_0000, type: Reserved },
    { address: MIB, length: 255 * MIB, type: Ram },
  ]);
});

test("more than 3 GiB → the rest above 4 GiB, the ECAM between", () => {
  const regions = [
    { guestStart: 0, offset: 0, length: 0xc000_0000 },
    { guestStart: 2 ** 32, offset: 0xc000_0000, length: 512 * MIB },
  ];
  const map = memoryMap(regions, [{ address: 0xe000_0000, length: MIB }]);
  expect(map.slice(3)).toEqual([
    { address: MIB, length: 0xc000_0000 - MIB, type: Ram },
    { address: 0xe000_0000, length: MIB, type: Reserved },
    { address: 2 ** 32, length: 512 * MIB, type: Ram },
  ]);
});

test("ACPI tables and reservations inside RAM → cut out of it", () => {
  const { regions } = new GuestMemory({ ramBytes: 4 * MIB });
  const map = memoryMap(
    regions,
    [{ address: 0x20_0000, length: 0x1000 }],
    [{ address: 0x9_0000, length: 0x1000 }],
  );
  expect(map.filter((e) => e.type === Acpi)).toEqual([
    { address: 0x9_0000, length: 0x1000, type: Acpi },
  ]);
  expect(map.filter((e) => e.type === Ram)).toEqual([
    { address: 0, length: 0x9_0000, type: Ram },
    { address: 0x9_1000, length: 0xec00, type: Ram },
    { address: MIB, length: MIB, type: Ram },
    { address: 0x20_1000, length: 2 * MIB - 0x1000, type: Ram },
  ]);
});

test("ACPI tables in the BIOS area → nothing of their own", () => {
  const { regions } = new GuestMemory({ ramBytes: 4 * MIB });
  expect(memoryMap(regions, [], [{ address: 0xe_0000, length: 0x1000 }])).toEqual(
    memoryMap(regions),
  );
});
