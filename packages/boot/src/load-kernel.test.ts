import { GuestMemory } from "@queztl/memory";
import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildAcpiTables } from "./acpi/tables.ts";
import type { LoadKernelOptions } from "./load-context.ts";
import { loadKernel } from "./load-kernel.ts";
import { makeBzImage, makeElf, makeMultibootHeader } from "./testing/kernels.ts";
import { testPlatform } from "./testing/platform.ts";

const MIB = 1 << 20;
const guest = (mib = 64) => new GuestMemory({ ramBytes: mib * MIB });
const initrd = new TextEncoder().encode("an initrd");

function text(memory: GuestMemory, address: number): string {
  let end = address;
  while (memory.readUint8(end) !== 0) end++;
  return new TextDecoder().decode(memory.readBytes(address, end - address));
}

function failure(options: LoadKernelOptions, memory = guest()) {
  memory.startDirtyTracking();
  try {
    loadKernel(memory, options);
  } catch (error) {
    // Whatever was wrong, the guest is as it was.
    expect(memory.takeDirtyPages()).toEqual([]);
    return error;
  }
  return undefined;
}

test("a bzImage → long mode at its 64-bit entry, boot_params in rsi", () => {
  const memory = guest();
  const acpi = buildAcpiTables({ platform: testPlatform, apicIds: [0] });
  const commandLine = "console=ttyS0 quiet";
  const plan = loadKernel(memory, { kernel: makeBzImage(), initrd, commandLine, acpi });

  expect(plan).toMatchObject({
    kind: "linux64",
    mode: "long64",
    entry: 0x100_0200,
    kernelVersion: "6.1.0-test (nobody@nowhere)",
    initrd: { address: 64 * MIB - 4096, length: initrd.length },
    cpu: { registers: { rip: 0x100_0200 }, cr4: 0x20, efer: 0x500 },
  });
  expect(text(memory, 0x100_0000)).toBe("PROTECTED");
  expect(memory.readBytes(64 * MIB - 4096, initrd.length)).toEqual(initrd);
  expect(memory.readUint32(acpi.address)).toBe(0x20445352); // "RSD "

  const params = plan.cpu.registers.rsi ?? 0;
  expect(text(memory, memory.readUint32(params + 0x228))).toBe(commandLine);
  expect(memory.readUint32(params + 0x202)).toBe(0x53726448); // "HdrS"
  expect(memory.readUint8(params + 0x210)).toBe(0xff);
  expect(memory.readUint32(params + 0x218)).toBe(64 * MIB - 4096);
  expect(memory.readUint32(params + 0x21c)).toBe(initrd.length);
  expect(memory.readUint64(params + 0x70)).toBe(BigInt(acpi.rsdpAddress));
  const ranges = Array.from({ length: memory.readUint8(params + 0x1e8) }, (_, i) => {
    const at = params + 0x2d0 + i * 20;
    return [memory.readUint64(at), memory.readUint64(at + 8), memory.readUint32(at + 16)];
  });
  expect(ranges).toEqual([
    [0n, 0x9_fc00n, 1],
    [0x9_fc00n, 0x400n, 2],
    [0xe_0000n, 0x2_0000n, 2],
    [0x10_0000n, BigInt(63 * MIB), 1],
  ]);
});

test("a 32-bit bzImage → protected mode at its 32-bit entry, boot_params in esi", () => {
  const memory = guest();
  const kernel = makeBzImage({ xloadflags: 0 });
  const plan = loadKernel(memory, { kernel, initrd, commandLine: "quiet" });
  expect(plan).toMatchObject({
    kind: "linux32",
    mode: "protected32",
    entry: 0x100_0000,
    kernelVersion: "6.1.0-test (nobody@nowhere)",
    cpu: { cr0: 0x11, cr3: 0, cr4: 0, efer: 0, rflags: 2 },
  });
  const { cpu } = plan;
  // EBP, EDI and EBX must be zero: they are not named, so they are as after a reset.
  expect(cpu.registers).toEqual({ rip: 0x100_0000, rsi: 0x7000 });
  expect(cpu.cs).toMatchObject({ selector: 0x10, base: 0, limit: 0xffff_ffff, attributes: 0xc09b });
  expect(cpu.data).toMatchObject({ selector: 0x18, base: 0, limit: 0xffff_ffff });
  expect(memory.readUint64(cpu.gdt.base + 0x10)).toBe(0x00cf_9b00_0000_ffffn);
  expect(memory.readUint64(cpu.gdt.base + 0x18)).toBe(0x00cf_9300_0000_ffffn);
  expect(memory.readUint32(0x7000 + 0x214)).toBe(0x100_0000);
  expect(text(memory, memory.readUint32(0x7000 + 0x228))).toBe("quiet");
});

test("a 64-bit bzImage when asked, and a 32-bit ELF kernel → the 32-bit entry", () => {
  const asked = loadKernel(guest(), { kernel: makeBzImage(), entry: "linux32" });
  expect(asked).toMatchObject({ kind: "linux32", mode: "protected32", entry: 0x100_0000 });
  const memory = guest();
  const elf = loadKernel(memory, { kernel: makeElf({ bits: 32 }), initrd });
  expect(elf).toMatchObject({ kind: "linux32", mode: "protected32", entry: 0x100_0000 });
  const params = elf.cpu.registers.rsi ?? 0;
  expect(memory.readUint32(params + 0x202)).toBe(0x53726448);
  expect(memory.readUint32(params + 0x218)).toBe(elf.initrd?.address);
});

test("long mode → page tables map 4 GiB to themselves, and the GDT has Linux' selectors", () => {
  const memory = guest();
  const { cpu } = loadKernel(memory, { kernel: makeBzImage() });
  const walk = (address: number): number => {
    const entry = (table: number, shift: number) =>
      memory.readUint64(table + (Math.floor(address / 2 ** shift) % 512) * 8);
    const next = (value: bigint) => Number(value & 0xf_ffff_ffff_f000n);
    const pdpt = next(entry(cpu.cr3, 39));
    const leaf = entry(next(entry(pdpt, 30)), 21);
    expect(leaf & 0x83n).toBe(0x83n);
    return next(leaf) + (address % 0x20_0000);
  };
  for (const address of [0, 0x7123, 0x100_0200, 0x7fff_ffff, 0xffff_ffff]) {
    expect(walk(address)).toBe(address);
  }
  expect(cpu.cs.selector).toBe(0x10);
  expect(cpu.data.selector).toBe(0x18);
  expect(memory.readUint64(cpu.gdt.base + 0x10)).toBe(0x00af_9b00_0000_ffffn);
  expect(memory.readUint64(cpu.gdt.base + 0x18)).toBe(0x00cf_9300_0000_ffffn);
});

test("an ELF kernel with a PVH note → 32-bit protected mode, start_info in ebx", () => {
  const memory = guest();
  const kernel = makeElf({ pvhEntry: 0x100_0004 });
  const commandLine = "root=/dev/vda";
  const plan = loadKernel(memory, { kernel, initrd, commandLine });
  expect(plan).toMatchObject({
    kind: "pvh",
    mode: "protected32",
    entry: 0x100_0004,
    cpu: { cr0: 0x11, cr3: 0, cr4: 0, efer: 0 },
  });
  const info = plan.cpu.registers.rbx ?? 0;
  expect(memory.readUint32(info)).toBe(0x336e_c578);
  expect(memory.readUint32(info + 4)).toBe(1);
  expect(memory.readUint32(info + 12)).toBe(1);
  const module = Number(memory.readUint64(info + 16));
  expect(memory.readBytes(Number(memory.readUint64(module)), initrd.length)).toEqual(initrd);
  expect(memory.readUint64(module + 8)).toBe(BigInt(initrd.length));
  expect(text(memory, Number(memory.readUint64(info + 24)))).toBe(commandLine);
  const map = Number(memory.readUint64(info + 40));
  expect(memory.readUint32(info + 48)).toBe(4);
  expect(memory.readUint64(map + 3 * 24)).toBe(0x10_0000n);
});

test("an ELF kernel without a note, or when asked → Linux' 64-bit entry", () => {
  const kernels = [
    { kernel: makeElf() },
    { kernel: makeElf({ pvhEntry: 0x100_0000 }), entry: "linux64" },
  ] as const;
  for (const options of kernels) {
    const memory = guest();
    const plan = loadKernel(memory, options);
    expect(plan).toMatchObject({ kind: "linux64", mode: "long64", entry: 0x100_0000 });
    const params = plan.cpu.registers.rsi ?? 0;
    expect(memory.readUint16(params + 0x1fe)).toBe(0xaa55);
    expect(text(memory, 0x100_0000)).toBe("KERNEL TEXT");
  }
});

test("a segment's memory beyond its bytes → zeros, though the memory was used", () => {
  const memory = guest();
  memory.writeView(0x100_0000, 0x3000).fill(0xcc);
  loadKernel(memory, { kernel: makeElf() });
  expect(memory.readUint8(0x100_0000 + 0x1fff)).toBe(0);
  expect(memory.readUint8(0x100_0000 + 0x2000)).toBe(0xcc);
});

test("a multiboot ELF kernel → protected mode with its information and modules", () => {
  const memory = guest();
  const kernel = makeElf({
    bits: 32,
    entry: 0xc010_0004n,
    extra: makeMultibootHeader(3),
    segments: [
      { physical: 0x10_0000, virtual: 0xc010_0000n, bytes: new Uint8Array([1, 2, 3, 4, 5]) },
    ],
  });
  const modules = [{ bytes: new Uint8Array(5000).fill(7), commandLine: "second" }];
  const plan = loadKernel(memory, { kernel, initrd, modules, commandLine: "test a=b" });
  expect(plan).toMatchObject({ kind: "multiboot", mode: "protected32", entry: 0x10_0004 });
  expect(plan.cpu.registers.rax).toBe(0x2bad_b002);
  const info = plan.cpu.registers.rbx ?? 0;
  expect(memory.readUint32(info)).toBe(0x24d);
  expect(memory.readUint32(info + 4)).toBe(639);
  expect(memory.readUint32(info + 8)).toBe(63 * 1024);
  expect(text(memory, memory.readUint32(info + 16))).toBe("test a=b");
  expect(memory.readUint32(info + 20)).toBe(2);
  const table = memory.readUint32(info + 24);
  const [first, second] = [0, 16].map((at) => ({
    start: memory.readUint32(table + at),
    end: memory.readUint32(table + at + 4),
    text: memory.readUint32(table + at + 8),
  }));
  expect(first).toMatchObject({ start: 64 * MIB - 4096, text: 0 });
  expect((second?.end ?? 0) - (second?.start ?? 0)).toBe(5000);
  expect((second?.start ?? 1) % 4096).toBe(0);
  expect(text(memory, second?.text ?? 0)).toBe("second");
  const map = memory.readUint32(info + 48);
  expect(memory.readUint32(info + 44)).toBe(4 * 24);
  expect(memory.readUint32(map)).toBe(20);
  expect(memory.readUint64(map + 3 * 24 + 4)).toBe(0x10_0000n);
  expect(text(memory, memory.readUint32(info + 64))).toBe("queztl");
});

test("a multiboot kernel that is no ELF file → loaded where its header says", () => {
  const load = 0x20_0000;
  const header = makeMultibootHeader(0x1_0000, [
    load + 16,
    load,
    load + 64,
    load + 4096,
    load + 48,
  ]);
  const kernel = new Uint8Array(100).fill(0x90);
  kernel.set(header, 16);
  const memory = guest();
  const plan = loadKernel(memory, { kernel });
  expect(plan).toMatchObject({ kind: "multiboot", entry: load + 48 });
  expect(memory.readUint32(load + 16)).toBe(0x1bad_b002);
  expect(memory.readUint8(load + 63)).toBe(0x90);
  expect(memory.readUint8(load + 64)).toBe(0);
});

test("flat images → as they are, in each mode", () => {
  const image = new Uint8Array([0xfa, 0xf4]);
  const at = (address: number, mode: "long64" | "protected32" | "real16") => {
    const memory = guest(1);
    const plan = loadKernel(memory, { kernel: image, flat: { address, mode } });
    expect(memory.readUint16(address)).toBe(0xf4fa);
    return plan;
  };
  expect(at(0x7c00, "real16").cpu).toMatchObject({
    registers: { rip: 0x7c00 },
    cs: { selector: 0, base: 0, limit: 0xffff },
  });
  expect(at(0x9_0010, "real16").cpu).toMatchObject({
    registers: { rip: 0 },
    cs: { selector: 0x9001, base: 0x9_0010 },
  });
  expect(at(0x8_0000, "protected32")).toMatchObject({ kind: "flat", cpu: { cr0: 0x11 } });
  expect(at(0x8_0000, "long64")).toMatchObject({ kind: "flat", cpu: { efer: 0x500 } });
});

test("files that are no kernel for this machine → coded errors, guest memory untouched", () => {
  const arm = new Uint8Array(4096);
  arm.set(new TextEncoder().encode("ARM\x64"), 0x38);
  const cases: [LoadKernelOptions, string][] = [
    [{ kernel: new Uint8Array(0) }, "QZ_BOOT_UNKNOWN_KERNEL"],
    [{ kernel: new Uint8Array(5000).fill(0x41) }, "QZ_BOOT_UNKNOWN_KERNEL"],
    [{ kernel: arm }, "QZ_BOOT_WRONG_ARCHITECTURE"],
    [{ kernel: makeElf({ machine: 183 }) }, "QZ_BOOT_WRONG_ARCHITECTURE"],
    [{ kernel: makeElf({ bits: 32 }), entry: "linux64" }, "QZ_BOOT_NOT_64_BIT"],
    [{ kernel: makeBzImage({ xloadflags: 0 }), entry: "linux64" }, "QZ_BOOT_NOT_64_BIT"],
    [{ kernel: makeElf(), entry: "linux32" }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeBzImage({ protocol: 0x206 }) }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeBzImage({ xloadflags: 0, loadFlags: 0 }) }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeBzImage().subarray(0, 1000) }, "QZ_BOOT_TRUNCATED"],
    [{ kernel: makeBzImage({ preferredAddress: 0x1000 }) }, "QZ_BOOT_MALFORMED"],
    [{ kernel: makeElf({ entry: 0x5n }) }, "QZ_BOOT_MALFORMED"],
    [{ kernel: makeElf({ pvhEntry: 0x5 }) }, "QZ_BOOT_MALFORMED"],
    [{ kernel: makeElf(), entry: "pvh" }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeElf(), entry: "multiboot" }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeElf({ bits: 32, extra: makeMultibootHeader(0x10) }) }, "QZ_BOOT_UNSUPPORTED"],
    [{ kernel: makeMultibootHeader(0) }, "QZ_BOOT_MALFORMED"],
    [{ kernel: makeMultibootHeader(0x1_0000) }, "QZ_BOOT_TRUNCATED"],
    [{ kernel: makeMultibootHeader(0x1_0000, [1, 2, 0, 0, 2]) }, "QZ_BOOT_MALFORMED"],
    [{ kernel: arm, flat: { address: 0x10_0000, mode: "real16" } }, "QZ_BOOT_UNSUPPORTED"],
  ];
  for (const [options, code] of cases) expect(failure(options)).toMatchObject({ code });
});

test("what does not fit → coded errors, guest memory untouched", () => {
  const kernel = makeElf();
  const cases: [LoadKernelOptions, string][] = [
    [{ kernel, initrd: new Uint8Array(64 * MIB) }, "QZ_BOOT_NO_ROOM"],
    [{ kernel, initrd: new Uint8Array(49 * MIB) }, "QZ_BOOT_NO_ROOM"],
    [{ kernel: makeBzImage({ initBytes: 60 * MIB }) }, "QZ_BOOT_NO_ROOM"],
    [{ kernel: makeElf({ segments: [{ physical: 2 ** 40, bytes: initrd }] }) }, "QZ_BOOT_NO_ROOM"],
    [
      {
        kernel: makeElf({
          segments: [
            { physical: 0x100_0000, bytes: initrd },
            { physical: 0x100_0004, bytes: initrd },
          ],
        }),
      },
      "QZ_BOOT_OVERLAP",
    ],
    [{ kernel: makeElf({ segments: [{ physical: 0x7000, bytes: initrd }] }) }, "QZ_BOOT_OVERLAP"],
    [{ kernel, commandLine: "x".repeat(2048) }, "QZ_BOOT_COMMAND_LINE"],
    [{ kernel, commandLine: "a\0b" }, "QZ_BOOT_COMMAND_LINE"],
    [
      { kernel: makeBzImage({ commandLineBytes: 255 }), commandLine: "x".repeat(256) },
      "QZ_BOOT_COMMAND_LINE",
    ],
    [{ kernel, flat: { address: 70 * MIB, mode: "long64" } }, "QZ_BOOT_NO_ROOM"],
  ];
  for (const [options, code] of cases) expect(failure(options)).toMatchObject({ code });
});

test("an initrd as large as fits below a low initrd_addr_max → placed there", () => {
  const memory = guest();
  const kernel = makeBzImage({ initrdAddressMax: 32 * MIB - 1 });
  const plan = loadKernel(memory, { kernel, initrd });
  expect(plan.initrd?.address).toBe(32 * MIB - 4096);
});

test("kernels with any bytes altered or cut → loaded or a coded error", () => {
  const memory = guest(32);
  const load = 0x20_0000;
  const samples = [
    makeBzImage(),
    makeBzImage({ xloadflags: 0 }),
    makeElf({ pvhEntry: 0x100_0000 }),
    makeElf({ bits: 32 }),
    makeElf({ bits: 32, extra: makeMultibootHeader(3) }),
    makeMultibootHeader(0x1_0000, [load, load, 0, 0, load]),
  ];
  const change = fc.tuple(fc.nat(), fc.nat(255));
  fc.assert(
    fc.property(
      fc.constantFrom(...samples),
      fc.array(change, { maxLength: 6 }),
      fc.option(fc.nat()),
      (sample, changes, cut) => {
        const kernel = sample.slice(0, cut === null ? undefined : cut % sample.length);
        for (const [at, value] of changes)
          if (kernel.length > 0) kernel[at % kernel.length] = value;
        try {
          loadKernel(memory, { kernel, initrd, commandLine: "a" });
        } catch (error) {
          expect(isQueztlError(error), String(error)).toBe(true);
        }
      },
    ),
    { numRuns: 1500 },
  );
});
