/**
 * A monitor for `kill.test.ts`: writes through the block device into the disk named on the command line, and
 * prints each write's number once the device answered the FLUSH after it.
 */
import { writeSync } from "node:fs";
import { BlockDevice, OverlayDisk, Qcow2Disk, RawDisk } from "../src/index.ts";
import type { BlockBackend } from "../src/index.ts";
import { NodeFile } from "../src/node/index.ts";
import { MockDriver } from "../src/testing/driver.ts";
import { BLOCK_BYTES, CAPACITY, blockAt, contentOf } from "./kill-pattern.ts";

const [kind = "", path = "", from = "0"] = process.argv.slice(2);

async function open(): Promise<BlockBackend> {
  if (kind === "qcow2") return Qcow2Disk.open(await NodeFile.open(path));
  if (kind === "raw") return RawDisk.open(await NodeFile.open(path));
  const base = await RawDisk.open(await NodeFile.open(`${path}.base`, { readOnly: true }));
  const file = await NodeFile.open(path, { create: { size: CAPACITY } });
  const map = await NodeFile.open(`${path}.map`, { create: { size: 512 } });
  return OverlayDisk.open({ base, file, map });
}

const driver = new MockDriver(new BlockDevice({ backend: await open() })).start();
const queue = driver.queue(0);

async function request(type: number, block: number, data: Uint8Array): Promise<void> {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt((block * BLOCK_BYTES) / 512), true);
  if (data.length > 0) queue.send(header, data, 1);
  else queue.send(header, 1);
  const { data: status } = await queue.next();
  if (status[0] !== 0) throw new Error(`request ${type} of block ${block}: status ${status[0]}`);
}

for (let n = Number(from); ; n++) {
  await request(1, blockAt(n), contentOf(n));
  await request(4, 0, new Uint8Array(0));
  // Synchronous: what is printed was acknowledged, and what was acknowledged is printed or about to be.
  writeSync(1, `${n}\n`);
}
