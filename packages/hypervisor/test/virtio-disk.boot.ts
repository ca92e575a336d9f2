import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Qcow2Disk, RawDisk } from "@queztl/virtio";
import type { BlockBackend } from "@queztl/virtio";
import { NodeFile } from "@queztl/virtio/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtioGuest, debianSource, testFolder } from "./virtio-guest.ts";
import type { GuestSource } from "./virtio-guest.ts";

/** MiB that each job writes and verifies; by hand QUEZTL_FIO_MB=256. */
const MIB = Number(process.env["QUEZTL_FIO_MB"] ?? 8);
const DISK_BYTES = Math.max(32, 2 * MIB) * 2 ** 20;

const folder = testFolder("virtio-disk");
const snapshot = join(folder.path, "snapshot");
let source: GuestSource;

beforeAll(async () => {
  source = await debianSource(["iperf3", "fio"], 256);
  const { backend } = await make("raw", "boot");
  await using guest = await VirtioGuest.boot(source, { scratch: backend });
  await guest.sh("mount -t tmpfs tmpfs /tmp");
  await guest.save(snapshot);
}, 900_000);

afterAll(folder.remove);

async function make(
  format: string,
  name: string,
): Promise<{ path: string; backend: BlockBackend }> {
  const path = join(folder.path, `${name}.${format}`);
  if (format === "raw") {
    await (await NodeFile.open(path, { create: { size: DISK_BYTES } })).close();
  } else {
    const file = await NodeFile.open(path, { create: { size: 512 } });
    await (await Qcow2Disk.create(file, { capacity: DISK_BYTES })).close();
  }
  return { path, backend: await open(format, path) };
}

async function open(format: string, path: string): Promise<BlockBackend> {
  const file = await NodeFile.open(path);
  return format === "qcow2" ? Qcow2Disk.open(file) : RawDisk.open(file);
}

/** Words for Debian's fio: it writes, reads back and compares the CRC of every block. */
const fio = (job: string): string =>
  "fio --name=job --filename=/dev/vdb --verify=crc32c --verify_fatal=1 --do_verify=1 " +
  `--verify_state_save=0 --randseed=7 --ioengine=libaio --direct=1 --size=${MIB}m ${job}`;

const JOBS = {
  "random 4 KiB, 32 at once": "--rw=randwrite --bs=4k --iodepth=32",
  "sequential 256 KiB, 4 at once": "--rw=write --bs=256k --iodepth=4",
  "random sizes with trims, 8 at once": "--rw=randtrimwrite --bsrange=512-64k --iodepth=8",
  "through the guest's cache, synced every 16": "--rw=randwrite --bs=4k --direct=0 --fsync=16",
};

test.each(["raw", "qcow2"])(
  "%s: fio, random and sequential → every block verified, and the host reads the same bytes",
  async (format) => {
    const { path, backend } = await make(format, "fio");
    await using guest = await VirtioGuest.restore(source, snapshot, { scratch: backend });
    expect(await guest.sh("cat /sys/block/vdb/queue/scheduler")).toContain("[none]");
    for (const [name, job] of Object.entries(JOBS)) {
      const report = await guest.sh(`cd /tmp; ${fio(job)} 2>&1`);
      expect(report, name).toContain("err= 0");
      const rates = [...report.matchAll(/(READ|WRITE|TRIM): bw=(\S+)/g)];
      console.log(
        `${format}, ${name}: ${rates.map(([, kind, rate]) => `${kind} ${rate}`).join(", ")}`,
      );
    }
    const read = `dd if=/dev/vdb bs=1M count=${MIB} iflag=direct 2>/dev/null | sha256sum`;
    const seen = await guest.sh(read);
    const { counters } = guest.devices.scratch;
    expect(counters.errors).toBe(0);
    expect(counters.discards).toBeGreaterThan(0);
    await guest.machine.stop();
    const held = new Uint8Array(MIB << 20);
    if (format === "raw") held.set(readFileSync(path).subarray(0, held.length));
    else {
      const disk = await open(format, path);
      await disk.read(0, held);
      await disk.close();
      const check = spawnSync("qemu-img", ["check", "-f", "qcow2", path], { encoding: "utf8" });
      if (check.error === undefined) expect(check.status, check.stdout).toBe(0);
    }
    expect(seen).toBe(`${createHash("sha256").update(held).digest("hex")}  -`);
  },
);

test("saved and restored three times while fio writes → it finds every block as it wrote it", async () => {
  const { path, backend } = await make("qcow2", "snapshots");
  const place = join(folder.path, "midway");
  {
    await using guest = await VirtioGuest.restore(source, snapshot, { scratch: backend });
    const job = fio("--rw=randwrite --bs=4k --iodepth=32 --loops=4");
    guest.agent.exec(["sh", "-c", `cd /tmp; ${job} >/tmp/report 2>&1`], {
      persist: "fio",
      stdin: "none",
    });
    await expect
      .poll(() => guest.devices.scratch.counters.writes, { timeout: 300_000 })
      .toBeGreaterThan(100);
    await guest.save(place);
  }
  for (let restores = 1; restores <= 3; restores++) {
    const scratch = await open("qcow2", path);
    await using guest = await VirtioGuest.restore(source, place, { scratch });
    const { counters } = guest.devices.scratch;
    await expect
      .poll(() => counters.writes + counters.reads, { timeout: 300_000 })
      .toBeGreaterThan(100);
    if (restores < 3) {
      await guest.save(place);
      continue;
    }
    await guest.sh("while pidof fio >/dev/null; do sleep 0.2; done");
    expect(await guest.sh("cat /tmp/report")).toContain("err= 0");
    expect(guest.devices.faults).toEqual([]);
  }
});
