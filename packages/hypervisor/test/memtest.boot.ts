import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Machine } from "../src/index.ts";
import { readKernelFiles } from "../src/node/index.ts";
import { Console } from "./guest.ts";

/** Debian's package, from the machine's own package client. */
async function memtest(folder: string): Promise<string | undefined> {
  const installed = "/boot/memtest86+x64.bin";
  if (existsSync(installed)) return installed;
  try {
    execFileSync("apt-get", ["download", "memtest86+"], {
      cwd: folder,
      stdio: "ignore",
      timeout: 60_000,
    });
    execFileSync("sh", ["-c", "dpkg-deb -x memtest86+_*.deb ."], { cwd: folder });
    return join(folder, installed);
  } catch {
    return undefined;
  }
}

test("memtest86+ x64 → starts and passes its first tests", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "queztl-memtest-"));
  try {
    const path = await memtest(folder);
    if (path === undefined) return context.skip("the package memtest86+ cannot be had here");
    const screen = new Console();
    const kernel = await readKernelFiles(path, [], "console=ttyS0,115200");
    await using machine = await Machine.create({
      ...kernel,
      memoryMib: 32,
      onSerial: screen.take,
    });
    machine.start();
    await screen.until("Memtest86+", machine, 300_000);
    // It draws its screen once a second and may show not every test: 0 to 2 are about addresses, then come inversions.
    await screen.until("[Moving inversions", machine, 500_000);
    expect(screen.text).not.toMatch(/FAIL|Errors: +[1-9]/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
