import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestMemory } from "@queztl/memory";
import { expect, test } from "vitest";
import { loadKernel } from "../load-kernel.ts";
import { buildSmbiosTables } from "./tables.ts";
import type { SmbiosOptions, SmbiosTables } from "./tables.ts";

const options: SmbiosOptions = { memory: [{ address: 0, length: 512 << 20 }], processors: 2 };
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => total + byte, 0) & 0xff;

/** The structures as a guest finds them, from the entry point on: type, length and strings. */
function walk({ address, bytes }: SmbiosTables) {
  const view = new DataView(bytes.buffer);
  let at = Number(view.getBigUint64(16, true)) - address;
  const end = at + view.getUint32(12, true);
  const found: { type: number; length: number; strings: string[] }[] = [];
  while (at < end) {
    const [type, length] = [view.getUint8(at), view.getUint8(at + 1)];
    const from = at + length;
    at = from;
    while (view.getUint16(at, true) !== 0) at++;
    const text = new TextDecoder().decode(bytes.subarray(from, at));
    found.push({ type, length, strings: text === "" ? [] : text.split("\0") });
    at += 2;
  }
  expect(at).toBe(end);
  return found;
}

test("the entry point → its checksum, and every structure with the length of SMBIOS 3.0", () => {
  const tables = buildSmbiosTables(options);
  expect(new TextDecoder().decode(tables.bytes.subarray(0, 5))).toBe("_SM3_");
  expect(tables.address % 16).toBe(0);
  expect(sum(tables.bytes.subarray(0, tables.bytes[6]))).toBe(0);
  expect(walk(tables).map(({ type, length }) => [type, length])).toEqual([
    [0, 0x18],
    [1, 0x1b],
    [3, 0x16],
    [4, 0x30],
    [16, 0x17],
    [17, 0x28],
    [19, 0x1f],
    [32, 0x0b],
    [127, 4],
  ]);
  expect(walk(tables)[1]?.strings).toEqual(["Queztl", "Virtual PC", "1.0"]);
});

test("the same options → the same bytes", () => {
  expect(buildSmbiosTables(options)).toEqual(buildSmbiosTables(options));
});

test("a kernel loaded with them → they lie where a guest looks", () => {
  const memory = new GuestMemory({ ramBytes: 1 << 20 });
  const smbios = buildSmbiosTables(options);
  const kernel = Uint8Array.of(0xf4);
  loadKernel(memory, { kernel, flat: { address: 0x7c00, mode: "real16" }, smbios });
  expect(memory.readView(0xf_0000, smbios.bytes.length)).toEqual(smbios.bytes);
});

test("options that cannot be described → QZ_BOOT_SMBIOS", () => {
  const wrong: Partial<SmbiosOptions>[] = [
    { processors: 0 },
    { processors: 1.5 },
    { processors: 0xffff },
    { memory: [] },
    { memory: [{ address: 0, length: 1000 }] },
    { memory: [{ address: -1024, length: 1024 }] },
    { memory: [{ address: 0, length: Number.NaN }] },
    { memory: [{ address: 2 ** 60, length: 1024 }] },
  ];
  for (const change of wrong) {
    expect(() => buildSmbiosTables({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: "QZ_BOOT_SMBIOS" }),
    );
  }
});

/** What dmidecode reads, the independent witness. */
function dmidecode(tables: SmbiosTables): string {
  const folder = mkdtempSync(join(tmpdir(), "queztl-smbios-"));
  try {
    // A dump is a file with the entry point first, and the table where it says.
    const dump = tables.bytes.slice();
    const view = new DataView(dump.buffer);
    view.setBigUint64(16, 32n, true);
    dump[5] = ((dump[5] ?? 0) - sum(dump.subarray(0, 24))) & 0xff;
    writeFileSync(join(folder, "dump"), dump);
    return execFileSync("/usr/sbin/dmidecode", ["--from-dump", join(folder, "dump")], {
      stdio: ["ignore", "pipe", "pipe"],
    }).toString();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const hasDmidecode = (() => {
  try {
    execFileSync("/usr/sbin/dmidecode", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasDmidecode)("dmidecode → reads what was described, without complaint", () => {
  const text = dmidecode(buildSmbiosTables(options));
  expect(text).not.toMatch(/broken|wrong|bad|truncated|out of spec|invalid|<|inconsistent/i);
  for (const line of [
    "SMBIOS 3.0.0 present.",
    "Release Date: 01/01/2026",
    "System is a virtual machine",
    "Product Name: Virtual PC",
    "UUID: Not Settable",
    "Wake-up Type: Power Switch",
    "Status: Populated, Enabled",
    "Core Count: 2",
    "Maximum Capacity: 512 MB",
    "Size: 512 MB",
    "Range Size: 512 MB",
    "Status: No errors detected",
  ])
    expect(text).toContain(line);
});

test.skipIf(!hasDmidecode).each([
  [{ memory: [{ address: 0, length: 512 << 10 }], processors: 1 }, ["Size: 512 kB"]],
  [
    {
      memory: [
        { address: 0, length: 3 * 2 ** 30 },
        { address: 2 ** 32, length: 5 * 2 ** 40 },
      ],
      processors: 300,
    },
    [
      "Size: 5123 GB",
      "Starting Address: 0x0000000100000000",
      "Range Size: 5 TB",
      "Core Count: 300",
    ],
  ],
] as const)("small and huge machines → dmidecode reads their sizes", (machine, lines) => {
  const text = dmidecode(buildSmbiosTables(machine));
  for (const line of lines) expect(text).toContain(line);
});
