import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testPlatform } from "../testing/platform.ts";
import { buildAcpiTables } from "./tables.ts";
import type { AcpiOptions } from "./tables.ts";

const options: AcpiOptions = {
  platform: testPlatform,
  apicIds: [0, 1],
  keyboard: true,
  virtioMmio: [{ address: 0xd000_0000, length: 0x200, gsi: 20 }],
};

/** The tables as a guest finds them: from the RSDP over the XSDT, the DSDT and FACS through the FADT. */
function walk(tables: ReturnType<typeof buildAcpiTables>): Map<string, Uint8Array> {
  const at = (address: number) => address - tables.address;
  const view = new DataView(tables.bytes.buffer);
  const found = new Map<string, Uint8Array>();
  const read = (address: number): Uint8Array => {
    const start = at(address);
    const bytes = tables.bytes.subarray(start, start + view.getUint32(start + 4, true));
    found.set(Buffer.from(bytes.subarray(0, 4)).toString(), bytes);
    return bytes;
  };
  const xsdt = read(Number(view.getBigUint64(at(tables.rsdpAddress) + 24, true)));
  for (let i = 36; i < xsdt.length; i += 8) {
    read(Number(new DataView(xsdt.buffer, xsdt.byteOffset).getBigUint64(i, true)));
  }
  const fadt = found.get("FACP") ?? new Uint8Array(0);
  const fields = new DataView(fadt.buffer, fadt.byteOffset);
  read(Number(fields.getBigUint64(140, true)));
  if (fields.getUint32(36, true) !== 0) read(fields.getUint32(36, true));
  return found;
}

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => total + byte, 0) & 0xff;

test("the RSDP → all tables, every checksum right", () => {
  const tables = buildAcpiTables(options);
  const rsdp = tables.bytes.subarray(0, 36);
  expect(Buffer.from(rsdp.subarray(0, 8)).toString()).toBe("RSD PTR ");
  expect([sum(rsdp.subarray(0, 20)), sum(rsdp)]).toEqual([0, 0]);
  const found = walk(tables);
  expect([...found.keys()].sort()).toEqual(["APIC", "DSDT", "FACP", "FACS", "MCFG", "XSDT"]);
  for (const [name, bytes] of found)
    if (name !== "FACS") expect([name, sum(bytes)]).toEqual([name, 0]);
});

test("the same options → the same bytes; another address → the tables there", () => {
  expect(buildAcpiTables(options)).toEqual(buildAcpiTables(options));
  const moved = buildAcpiTables({ ...options, address: 0x9_0000 });
  expect(moved.rsdpAddress).toBe(0x9_0000);
  expect(walk(moved).size).toBe(6);
});

test("CPUs with large APIC IDs → x2APIC entries and their NMI", () => {
  const found = walk(buildAcpiTables({ ...options, apicIds: [0, 300] }));
  const madt = found.get("APIC") ?? new Uint8Array();
  const types: number[] = [];
  for (let at = 44; at < madt.length; at += madt[at + 1] ?? 1) types.push(madt[at] ?? -1);
  expect(types).toEqual([0, 9, 1, 2, 2, 4, 10]);
});

test("the hardware-reduced interface → no PM blocks, the sleep registers and no FACS", () => {
  const sleep = { control: 0x610, status: 0x611 };
  const found = walk(buildAcpiTables({ ...options, hardwareReduced: { sleep } }));
  const fadt = new DataView((found.get("FACP") ?? new Uint8Array()).slice().buffer);
  expect(found.has("FACS")).toBe(false);
  expect(fadt.getUint32(112, true) & (1 << 20)).toBe(1 << 20);
  expect([56, 64, 76].map((at) => fadt.getUint32(at, true))).toEqual([0, 0, 0]);
  expect([248, 260].map((at) => fadt.getBigUint64(at, true))).toEqual([0x610n, 0x611n]);
});

test("options that cannot be described → QZ_BOOT_ACPI", () => {
  const wrong: Partial<AcpiOptions>[] = [
    { apicIds: [] },
    { apicIds: [0, 0] },
    { apicIds: Array.from({ length: 5000 }, (_, i) => i) },
    { address: 0xe_0004 },
    { address: -64 },
    { virtioMmio: [{ address: 2 ** 40, length: 0x200, gsi: 5 }] },
    { virtioMmio: [{ address: 0xd000_0000, length: -1, gsi: 5 }] },
    { platform: { ...testPlatform, uarts: [{ port: 0x1_0000, irq: 4 }] } },
  ];
  for (const change of wrong) {
    expect(() => buildAcpiTables({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: "QZ_BOOT_ACPI" }),
    );
  }
});

const hasIasl = (() => {
  try {
    execFileSync("iasl", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

// Intel's compiler is the independent witness: what it reads out of our tables it compiles to our bytes.
test.skipIf(!hasIasl)(
  "iasl disassembles each table without complaint, and recompiles the DSDT to the same AML",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "queztl-acpi-"));
    try {
      const run = (...args: string[]) =>
        execFileSync("iasl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] }).toString();
      const found = walk(buildAcpiTables(options));
      for (const [name, bytes] of found) {
        writeFileSync(join(folder, `${name}.dat`), bytes);
        expect(run("-d", `${name}.dat`)).not.toMatch(/error|warning|invalid|incorrect/i);
      }
      // Without optimisation, which would shorten paths.
      run("-oa", "-p", "again", "DSDT.dsl");
      const again = readFileSync(join(folder, "again.aml"));
      expect(again.subarray(36).equals(found.get("DSDT")?.subarray(36) ?? new Uint8Array())).toBe(
        true,
      );
      const source = readFileSync(join(folder, "DSDT.dsl"), "utf8");
      for (const id of [
        "PNP0A03",
        "PNP0C02",
        "PNP0501",
        "PNP0B00",
        "PNP0303",
        "LNRO0005",
        "QEMU0001",
      ]) {
        expect(source).toContain(id);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
